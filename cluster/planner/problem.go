package planner

import (
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// Request is a question to the planner.
type Request struct {
	Name     string // of the model, as the user gave it
	Model    *arch.Config
	Cluster  *hardware.Cluster
	Devices  int
	Workload costmodel.Workload
	Options  costmodel.Options // engine and constants; zero is the cluster's usual engine and what comes with temper
	Space    Space             // zero is everything
	Top      int               // plans to rank; 0 is 10
	Workers  int               // goroutines; 0 is one per processor. The answer does not depend on it.
}

// problem is a request, prepared.
type problem struct {
	request  Request
	model    *costmodel.Model
	grid     *grid
	units    []unit
	unitOf   []int32              // of every mesh
	again    []operator.Recompute // by choice of the grid
	layers   int
	batch    int
	capacity int64
	link     bool    // the device can offload to its host
	host     int64   // host memory of a device; the largest number where it is not known
	perByte  float64 // buckets per byte
	tied     bool    // the head is the input embedding
	pairs    bool    // some order of the grid overlaps passes
	reach    float64 // how much slower than the best a layout may be to be looked at
	hungry   bool    // looks at layouts whose mesh cannot fit, too
	runs     engineRuns
	keeper   keeper
}

// unit is the meshes that share the sharding of a block.
type unit struct {
	tp, cp, ep, etp int
	meshes          []uint32 // indexes into grid.meshes, one per pipeline degree
	illegal         []bool   // by micro-batch size: a block cannot be cut so
	measured        bool
	floors          floors
}

// key names the unit's table in the cost model.
func (u *unit) key(micro int) costmodel.Key {
	return costmodel.Key{TP: u.tp, CP: u.cp, EP: u.ep, ETP: u.etp, MicroBatch: micro}
}

// newProblem checks a request and enumerates its space.
func newProblem(r Request) (*problem, error) {
	m, err := costmodel.New(r.Model, r.Cluster, r.Devices, r.Workload, r.Options)
	if err != nil {
		return nil, err
	}
	p := &problem{request: r, reach: fullReach, model: m, layers: r.Model.NumLayers, batch: r.Workload.GlobalBatch, capacity: r.Cluster.Device.Memory}
	if p.capacity < 1 {
		return nil, fmt.Errorf("planner: memory of %s is %d bytes, want at least 1", r.Cluster.Device.Name, p.capacity)
	}
	if p.host = r.Cluster.Device.HostMemory; p.host < 1 {
		p.host = math.MaxInt64
	}
	p.perByte = buckets / float64(p.capacity+1)
	p.grid, err = newGrid(r.Space, shape{devices: r.Devices, layers: p.layers, experts: r.Model.Experts, batch: p.batch})
	if err != nil {
		return nil, err
	}
	for _, text := range p.grid.recompute {
		again, err := operator.ParseRecompute(text, m.Engine)
		if err != nil {
			return nil, err
		}
		p.again = append(p.again, again)
	}
	p.tied, p.link = r.Model.TieEmbeddings, r.Cluster.Device.HostLink > 0
	p.pairs = slices.ContainsFunc(p.grid.variants, func(v variant) bool { return v.kind.SplitsBackward() && v.chunks == 2 })
	p.keeper = newKeeper(m.Engine, m.Workload.Optimizer)
	p.runs = runsOf(m.Engine, r.Space, p.grid)
	p.runs.offload = p.runs.offload && p.link
	p.divide()
	return p, nil
}

// divide groups the meshes into units.
func (p *problem) divide() {
	at := map[[4]int]int{}
	for i, m := range p.grid.meshes {
		key := [4]int{m.TP, m.CP, m.EP, m.ETP}
		u, ok := at[key]
		if !ok {
			u = len(p.units)
			at[key] = u
			p.units = append(p.units, unit{tp: m.TP, cp: m.CP, ep: m.EP, etp: m.ETP})
			for _, b := range p.grid.micros {
				p.units[u].illegal = append(p.units[u].illegal, p.sharding(p.units[u].key(b)) != nil)
			}
		}
		p.units[u].meshes = append(p.units[u].meshes, uint32(i))
		p.unitOf = append(p.unitOf, int32(u))
	}
}

// bucket returns which part of the capacity a layout's memory reaches.
func (p *problem) bucket(memory int64) int { return min(buckets-1, int(float64(memory)*p.perByte)) }

// sharding checks what the sharding of a block must obey.
func (p *problem) sharding(k costmodel.Key) error {
	m := p.model
	s := operator.Sharding{TP: k.TP, CP: k.CP, EP: k.EP, ETP: k.ETP, Sequence: m.Engine.Sequence && k.TP > 1}
	return s.Check(m.Arch, operator.Numbers{MicroBatch: k.MicroBatch, Seq: m.Workload.Seq, DType: operator.DType(m.Workload.DType), Engine: m.Engine})
}

// legal reports whether a mesh of a unit with one micro-batch size may be laid
// out at all, or which rule it breaks.
func (p *problem) legal(u *unit, m uint32, i int) (rule, bool) {
	ms := p.grid.meshes[m]
	switch {
	case ms.Block()%(ms.EP*ms.ETP) != 0:
		return ruleMesh, false
	case u.illegal[i]:
		return ruleSharding, false
	case p.batch%(ms.DP*p.grid.micros[i]) != 0:
		return ruleBatch, false
	}
	return 0, true
}

// layout writes a place down as a layout.
func (p *problem) layout(at place) costmodel.Layout {
	g := p.grid
	r, v, z, o := g.unpack(at.leaf)
	return costmodel.Layout{
		Mesh: g.meshes[at.mesh], Chunks: g.variants[v].chunks, MicroBatch: g.micros[at.micro], Schedule: g.variants[v].kind,
		Recompute: g.recompute[r], Zero: g.zero[z], Offload: g.offload[o],
	}
}

// kindOf numbers a schedule.
func kindOf(k schedule.Kind) int { return slices.Index(kinds[:], k) }

var kinds = [numKinds]schedule.Kind{
	schedule.GPipe, schedule.OneFOneB, schedule.Interleaved, schedule.ZBH1, schedule.ZBV, schedule.DualPipe, schedule.DualPipeV,
}
