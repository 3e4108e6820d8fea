package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/cluster/planner/advice"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/audit"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// auditWorld answers an audit from the catalogue, the architectures and the
// planner.
type auditWorld struct {
	models   map[string]*arch.Config
	clusters map[string]*hardware.Cluster // by their own name, which is what predictions are asked for
}

func newAuditWorld() *auditWorld {
	return &auditWorld{map[string]*arch.Config{}, map[string]*hardware.Cluster{}}
}

// Model counts an architecture, over every convention and over rows of seq
// tokens, or from 256 up to all that the model takes.
func (w *auditWorld) Model(name string, seq int) (*audit.Model, error) {
	c, err := hf.LoadConfig(name)
	if err != nil {
		return nil, err
	}
	w.models[name] = c
	total, mtp, active := c.Count()
	tables := int64(c.VocabSize) * int64(c.HiddenSize) // some count the input embedding, of which a token reads one row
	m := &audit.Model{
		Name: name, Parameters: audit.Interval{Lo: float64(total), Hi: float64(total + mtp)},
		Active: audit.Interval{Lo: float64(active), Hi: float64(min(total, active+tables))},
	}
	rows := []int{seq}
	if seq == 0 {
		rows = []int{256, max(256, min(c.MaxPositions, 1<<20))}
	}
	m.FLOPsPerToken = operations(c, rows...)
	if !(m.FLOPsPerToken.Lo <= m.FLOPsPerToken.Hi) {
		return nil, fmt.Errorf("model %s: operations of a token are not known for rows of %d tokens", name, seq)
	}
	if p := campaign.PretrainingOf(name); p.Tokens > 0 {
		m.Pretraining, m.PretrainSource = p.Tokens, "as the report of the model says"
	}
	return m, nil
}

// operations returns what a token costs over every convention, in rows of any of
// the lengths: an empty interval if none knows.
func operations(c *arch.Config, rows ...int) audit.Interval {
	out := audit.Interval{Lo: math.Inf(1), Hi: 0}
	for _, by := range []arch.Convention{arch.ByLedger, arch.Megatron, arch.Torchtitan, arch.Verl} {
		for _, n := range rows {
			f, err := c.FLOPsPerToken(by, n)
			if err != nil {
				continue // this convention knows no such model
			}
			out.Lo, out.Hi = min(out.Lo, f), max(out.Hi, f)
		}
	}
	return out
}

// Hardware reads an entry of the catalogue with the ranges of its sources.
func (w *auditWorld) Hardware(name string) (*audit.Hardware, error) {
	c, err := hardware.Load(name)
	if err != nil {
		return nil, err
	}
	w.clusters[c.Name] = c
	d := &c.Device
	h := &audit.Hardware{
		Name: c.Name, Title: c.Title, PerCard: max(1, c.DevicesPerCard), Peak: map[string]audit.Interval{},
		Memory: within(c, "device.memory", float64(d.Memory)), Host: within(c, "device.host_memory", float64(d.HostMemory)),
		Bandwidth: within(c, "device.bandwidth", d.Bandwidth),
	}
	_, h.Achievable = c.Range("device.efficiency.product", d.Efficiency.Product)
	for t, x := range d.Peak {
		h.Peak[string(t)] = within(c, "device.peak."+string(t), x)
	}
	var links []string
	for _, l := range c.Domains {
		links = append(links, fmt.Sprintf("%s %.4g GB/s", l.Name, l.Bandwidth/1e9))
	}
	h.Links = strings.Join(links, ", ")
	if h.Links == "" {
		h.Links = "none"
	}
	return h, nil
}

func within(c *hardware.Cluster, path string, x float64) audit.Interval {
	lo, hi := c.Range(path, x)
	return audit.Interval{Lo: lo, Hi: hi}
}

// roundest returns the number of rows within a batch's interval that the highest
// power of two divides: what was rounded when it was said was rounder when it ran,
// and an odd batch would be predicted to be slow.
func roundest(batch audit.Interval, seq int) int {
	lo, hi := int(math.Ceil(batch.Lo/float64(seq))), int(math.Floor(batch.Hi/float64(seq)))
	if lo < 1 || lo > hi {
		return max(1, int(math.Round(batch.Lo/float64(seq))))
	}
	for p := 1 << 30; p > 1; p /= 2 {
		if n := (lo + p - 1) / p * p; n <= hi {
			return n
		}
	}
	return lo
}

// mostUseful lowers the request's devices to those that are worth using: a number
// with an awkward factor is often slower than a smaller one that layouts divide.
func mostUseful(ctx context.Context, r planner.Request, batchSaid bool) (planner.Request, error) {
	best, most := r, 0.0
	for last, p := 0, 1; p <= r.Devices; p *= 2 {
		v := r
		v.Devices = r.Devices / p * p
		if v.Devices == last {
			continue
		}
		if 4*v.Devices < 3*r.Devices {
			break
		}
		last = v.Devices
		if !batchSaid {
			v.Workload.GlobalBatch = max(64, 2*v.Devices)
		}
		s, err := planner.Fastest(ctx, v, nil)
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err != nil || s == nil {
			continue
		}
		if rate := s.TokensPerSecond(v.Workload); rate > float64(most*1.0001) {
			best, most = v, rate
		}
	}
	return best, nil
}

// Predict searches for the best layout of a step.
func (w *auditWorld) Predict(ctx context.Context, q audit.Request) (*audit.Prediction, error) {
	c := w.clusters[q.Hardware]
	r := planner.Request{
		Name: q.Model, Model: w.models[q.Model], Cluster: c, Devices: q.Devices, Top: 1,
		Workload: costmodel.Workload{Seq: q.Seq, DType: q.DType, GlobalBatch: max(64, 2*q.Devices)},
	}
	if r.Workload.Seq == 0 {
		r.Workload.Seq = min(4096, max(1, r.Model.MaxPositions))
	}
	if q.BatchTokens.Bounded() {
		r.Workload.GlobalBatch = roundest(q.BatchTokens, r.Workload.Seq)
	}
	if r.Workload.DType == "" {
		r.Workload.DType = string(c.Device.Usual())
	}
	if q.Offload == "none" {
		r.Space.Offload = []string{"none"}
	}
	p := &audit.Prediction{Hardware: c.Name, Devices: q.Devices, Seq: r.Workload.Seq, DType: r.Workload.DType, StepTokens: r.Workload.Tokens()}
	if q.Devices > c.MaxDevices {
		p.Why = fmt.Sprintf("the description of %s is for at most %d devices", c.Name, c.MaxDevices)
		return p, nil
	}
	if err := r.Workload.Check(c); err != nil {
		p.Why = err.Error()
		return p, nil
	}
	r, err := mostUseful(ctx, r, q.BatchTokens.Bounded())
	if err != nil {
		return nil, err
	}
	a, err := advice.SearchWithin(ctx, r)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		p.Why = err.Error()
		return p, nil
	case !a.Fits:
		p.Why = a.Why()
		return p, nil
	}
	best := &a.Plans[0]
	perStep := float64(a.Step.Tokens) / float64(q.Devices) // whoever counts devices counts idle ones
	p.Used, p.Fits, p.StepTokens = a.Devices, true, float64(a.Step.Tokens)
	p.StepSeconds, p.StepInterval, p.TokensPerSec = best.StepSeconds, best.StepInterval, best.TokensPerSec
	p.PerDevice = audit.Interval{Lo: perStep / best.StepInterval[1], Hi: perStep / best.StepInterval[0]}
	if each := operations(r.Model, p.Seq); each.Lo <= each.Hi {
		p.Achieved = p.PerDevice.Mul(each)
	}
	p.MFU, p.Layout, p.BoundBy = best.MFU.Value, best.Text, best.BoundBy
	p.Memory, p.Capacity = best.MemoryBytes.Occupied, best.MemoryBytes.Capacity
	return p, nil
}
