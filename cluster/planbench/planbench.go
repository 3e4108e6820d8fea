// Package planbench measures planning and simulating on this machine: layouts
// scored in a second on one core, whole searches as a user waits for them, the
// generation of a large pipeline, and the simulation of a step rank by rank with
// the memory that it takes.
package planbench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/cluster/planner"
	"github.com/temper-ml/temper/cluster/sim"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

// Result is one measured figure. Value is the best sample; Min and Median are
// over all samples, in the same unit.
type Result struct {
	Name        string
	Value       float64
	Unit        string
	Min, Median float64
	N           int
}

// problem is a search that is measured.
type problem struct {
	model, cluster string
	devices, batch int
}

var (
	pro     = problem{"deepseek-v4-pro", "ascend-910c", 2048, 4096}
	v3      = problem{"deepseek-v3", "h800", 16384, 15360}
	v3small = problem{"deepseek-v3", "h800", 2048, 4096}
)

func (p problem) String() string {
	return fmt.Sprintf("%s on %d of %s", p.model, p.devices, p.cluster)
}

func (p problem) request() (planner.Request, error) {
	m, err := arch.Builtin(p.model)
	if err != nil {
		return planner.Request{}, err
	}
	c, err := hardware.Load(p.cluster)
	return planner.Request{Name: p.model, Model: m, Cluster: c, Devices: p.devices, Workload: costmodel.Workload{Seq: 4096, GlobalBatch: p.batch}}, err
}

// Run measures everything, each figure so many times.
func Run(ctx context.Context, samples int) ([]Result, error) {
	b := &bench{ctx: ctx, samples: samples}
	for _, p := range []problem{pro, v3small} {
		b.score(p)
	}
	for _, p := range []problem{pro, v3} {
		b.search(p)
	}
	b.pipeline()
	for _, devices := range []int{512, 2048, 8192} {
		b.simulate(devices)
	}
	return b.results, b.err
}

// bench collects results until something fails.
type bench struct {
	ctx     context.Context
	samples int
	results []Result
	err     error
}

// put measures f, which returns the figure; best chooses among samples.
func (b *bench) put(name, unit string, best func([]float64) float64, f func() (float64, error)) {
	var got []float64
	for range b.samples {
		if b.err = cmpErr(b.err, b.ctx.Err()); b.err != nil {
			return
		}
		x, err := f()
		if err != nil {
			b.err = fmt.Errorf("planbench: %s: %w", name, err)
			return
		}
		got = append(got, x)
	}
	sorted := slices.Sorted(slices.Values(got))
	b.results = append(b.results, Result{name, best(got), unit, sorted[0], sorted[len(sorted)/2], len(got)})
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func most(x []float64) float64  { return slices.Max(x) }
func least(x []float64) float64 { return slices.Min(x) }

// score measures the inner loop of a search on one core.
func (b *bench) score(p problem) {
	r, err := p.request()
	if err != nil {
		b.err = cmpErr(b.err, err)
		return
	}
	r.Workers = 1
	r.Space = planner.Space{Schedules: planner.Schedules(), Zero: []int{1, 2, 3}}
	b.put("score every layout, "+p.String(), "layouts/s on one core", most, func() (float64, error) {
		begin := time.Now()
		n, err := planner.ScoreAll(b.ctx, r)
		return float64(n) / time.Since(begin).Seconds(), err
	})
}

// search measures a whole search on all cores.
func (b *bench) search(p problem) {
	r, err := p.request()
	if err != nil {
		b.err = cmpErr(b.err, err)
		return
	}
	b.put("search and prove, "+p.String(), fmt.Sprintf("s on %d cores", runtime.GOMAXPROCS(0)), least, func() (float64, error) {
		begin := time.Now()
		a, err := planner.Search(b.ctx, r)
		if err == nil && !(a.Fits && a.Certificate.Proved) {
			err = fmt.Errorf("fits %v, certificate %+v", a.Fits, a.Certificate)
		}
		return time.Since(begin).Seconds(), err
	})
}

// pipeline measures the generation and the timing of a large schedule.
func (b *bench) pipeline() {
	const stages, chunks, micro = 64, 8, 1024
	p := &schedule.Pipeline{}
	shape := schedule.Shape{Kind: schedule.Interleaved, Stages: stages, Chunks: chunks, Micro: micro}
	name := fmt.Sprintf("schedule of %d stages x %d chunks x %d micro-batches", stages, chunks, micro)
	b.put(name, "ms", least, func() (float64, error) {
		begin := time.Now()
		err := p.Reset(shape)
		return 1e3 * time.Since(begin).Seconds(), err
	})
	d := &schedule.Durations{Forward: fill(stages*chunks, 1), Input: fill(stages*chunks, 1), Weight: fill(stages*chunks, 1), Send: fill(stages*chunks, 0.01)}
	t := &schedule.Timeline{Brief: true}
	b.put("its timing, action by action", "ms", least, func() (float64, error) {
		begin := time.Now()
		err := p.Time(d, t)
		return 1e3 * time.Since(begin).Seconds(), err
	})
}

func fill(n int, x float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = x
	}
	return out
}

// simulate measures one step of DeepSeek-V4-Pro, rank by rank.
func (b *bench) simulate(devices int) {
	p := pro
	p.devices, p.batch = devices, 2*devices
	program, err := p.program()
	if err != nil {
		b.err = cmpErr(b.err, err)
		return
	}
	b.put(fmt.Sprintf("simulate a step, %d ranks, %.1f M instructions", devices, float64(program.Instructions())/1e6), "s", least, func() (float64, error) {
		begin := time.Now()
		run, err := program.Run(nil)
		if err == nil && len(run.CriticalPath().Segments) == 0 {
			err = fmt.Errorf("no critical path")
		}
		return time.Since(begin).Seconds(), err
	})
	b.put(fmt.Sprintf("memory of the process by then, %d ranks", devices), "GiB", least, func() (float64, error) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.Sys) / (1 << 30), nil
	})
}

// program lowers the fastest layout of a problem.
func (p problem) program() (*sim.Program, error) {
	r, err := p.request()
	if err != nil {
		return nil, err
	}
	r.Options.AnyMemory = true
	m, err := costmodel.New(r.Model, r.Cluster, r.Devices, r.Workload, r.Options)
	if err != nil {
		return nil, err
	}
	l, err := costmodel.ParseLayout("pp=8,ep=64,recompute=full,offload=optimizer", p.devices)
	if err != nil {
		return nil, err
	}
	step, err := m.Evaluate(l)
	if err != nil {
		return nil, err
	}
	return sim.New(m, step, sim.Options{})
}
