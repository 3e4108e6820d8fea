package planner

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/hardware"
)

func find(t testing.TB, r Request) *Answer {
	t.Helper()
	a, err := Search(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// An answer is proved, ranked, within memory, and adds up.
func TestAnswer(t *testing.T) {
	a := find(t, request(t, "deepseek-v4-flash", "ascend-910c", 256, 4096, 512))
	if !a.Fits || !a.Certificate.Proved || a.Certificate.Gap != 0 || a.Certificate.BoundSeconds < a.Plans[0].StepSeconds {
		t.Errorf("certificate %+v of a step of %v s", a.Certificate, a.Plans[0].StepSeconds)
	}
	if len(a.Plans) != defaultTop {
		t.Errorf("%d plans, want %d", len(a.Plans), defaultTop)
	}
	for i := range a.Plans {
		checkPlan(t, &a.Plans[i])
		if i > 0 && a.Plans[i].StepSeconds < a.Plans[i-1].StepSeconds {
			t.Errorf("plan %d takes %v s, the one before it %v s", i, a.Plans[i].StepSeconds, a.Plans[i-1].StepSeconds)
		}
	}
	for i := range a.Pareto {
		checkPlan(t, &a.Pareto[i])
		if i > 0 && (a.Pareto[i].StepSeconds <= a.Pareto[i-1].StepSeconds || a.Pareto[i].MemoryBytes.Occupied >= a.Pareto[i-1].MemoryBytes.Occupied) {
			t.Errorf("Pareto plan %d is not slower and smaller than the one before it", i)
		}
	}
	if best := a.Families[a.Plans[0].Layout.Schedule]; best.StepSeconds != a.Plans[0].StepSeconds {
		t.Errorf("the best of its schedule takes %v s, the best of all %v s", best.StepSeconds, a.Plans[0].StepSeconds)
	}
	for rule, v := range a.Rejected {
		if v.Count < 1 || v.Example == "" || v.Text == "" {
			t.Errorf("rejection by %s: %+v", rule, v)
		}
	}
}

func checkPlan(t *testing.T, p *Plan) {
	t.Helper()
	sum := 0.0
	for _, s := range p.Breakdown {
		sum += s
	}
	if math.Abs(sum/p.StepSeconds-1) > 1e-9 {
		t.Errorf("%s: parts sum to %v s of %v s", p.Text, sum, p.StepSeconds)
	}
	if p.LowerBound > p.StepSeconds || p.LowerBound <= 0 {
		t.Errorf("%s: bound %v s, time %v s", p.Text, p.LowerBound, p.StepSeconds)
	}
	if !(p.StepInterval[0] < p.StepSeconds && p.StepSeconds < p.StepInterval[1]) {
		t.Errorf("%s: interval %v does not hold %v", p.Text, p.StepInterval, p.StepSeconds)
	}
	m := p.MemoryBytes
	total := int64(0)
	for _, part := range m.Parts() {
		total += part.Bytes
	}
	if total != m.Occupied || m.Headroom != m.Capacity-m.Occupied || m.Headroom < 0 || slices.Max(m.Stages) != m.Occupied {
		t.Errorf("%s: memory %+v", p.Text, m)
	}
	if m.Total+m.Fragmentation != m.Occupied {
		t.Errorf("%s: %d bytes allocated and %d beside them, but %d occupied", p.Text, m.Total, m.Fragmentation, m.Occupied)
	}
}

// The answer is the same bytes, whatever the number of workers.
func TestAnswerDoesNotDependOnWorkers(t *testing.T) {
	r := request(t, "qwen3-30b-a3b", "h100", 64, 4096, 128)
	var texts []string
	for _, n := range []int{1, 2, 7} {
		r.Workers = n
		text, err := json.Marshal(find(t, r))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
	if texts[0] != texts[1] || texts[0] != texts[2] {
		t.Errorf("three numbers of workers, different answers")
	}
}

// What a search finds, One evaluates to the same figures.
func TestOneAgreesWithSearch(t *testing.T) {
	r := request(t, "llama3-70b", "h100", 64, 8192, 128)
	best := find(t, r).Plans[0]
	l, err := costmodel.ParseLayout(best.Text, r.Devices)
	if err != nil {
		t.Fatal(err)
	}
	a, err := One(r, l)
	if err != nil {
		t.Fatal(err)
	}
	if one := a.Plans[0]; one.StepSeconds != best.StepSeconds || one.MemoryBytes.Total != best.MemoryBytes.Total || len(a.Plans) != 1 {
		t.Errorf("One says %v s and %d bytes, Search %v s and %d", one.StepSeconds, one.MemoryBytes.Total, best.StepSeconds, best.MemoryBytes.Total)
	}
	l.Mesh.TP = 3
	var refused *costmodel.Rejection
	if _, err := One(r, l); !errors.As(err, &refused) {
		t.Errorf("tp=3: %v, want a rejection", err)
	}
}

func TestNothingFits(t *testing.T) {
	r := request(t, "deepseek-v4-pro", "h100", 64, 4096, 128)
	a := find(t, r)
	s := a.Shortage
	if a.Fits || len(a.Plans) > 0 || s == nil {
		t.Fatalf("fits %v with %d plans, shortage %v", a.Fits, len(a.Plans), s)
	}
	if s.Over <= 0 || s.Factor <= 1 || s.Largest == "" || s.Memory.Occupied != s.Memory.Capacity+s.Over {
		t.Errorf("shortage %+v", s)
	}
	// The memory it asks for is enough, and no less is.
	for _, more := range []struct {
		bytes int64
		fits  bool
	}{{s.Memory.Occupied, true}, {s.Memory.Occupied - 1<<20, false}} {
		v := r
		v.Cluster = clone(r.Cluster)
		v.Cluster.Device.Memory = more.bytes
		if got := find(t, v).Fits; got != more.fits {
			t.Errorf("with %d bytes: fits %v, want %v", more.bytes, got, more.fits)
		}
	}
}

func TestSmallest(t *testing.T) {
	for _, offload := range []string{"none", "optimizer"} {
		r := request(t, "qwen3-30b-a3b", "h100", 64, 4096, 64)
		r.Space.Offload = []string{offload}
		s, err := FindSmallest(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		if s.Devices == 0 || s.Plan == nil || s.Least <= 0 {
			t.Fatalf("offload %s: %+v", offload, s)
		}
		t.Logf("offload %s: %d devices, tried %v", offload, s.Devices, s.Sizes)
		for _, size := range s.Sizes {
			if size.Devices < s.Devices && size.Fits || size.Devices == s.Devices && !size.Fits {
				t.Errorf("offload %s: smallest is %d, but %+v", offload, s.Devices, size)
			}
		}
	}
}

func TestSizesAreWholeNodes(t *testing.T) {
	got := sizes(8, 3, 40)
	if want := []int{4, 8, 16, 24, 32, 40}; !slices.Equal(got, want) {
		t.Errorf("sizes %v, want %v", got, want)
	}
	if many := sizes(8, 1, 1<<17); len(many) > 400 || !slices.IsSorted(many) {
		t.Errorf("%d sizes up to %d", len(many), 1<<17)
	}
}

// Improving a machine never makes the best layout slower, and each change says
// what it gained.
func TestWhatWouldHelp(t *testing.T) {
	r := request(t, "qwen3-30b-a3b", "h100", 32, 4096, 128)
	a := find(t, r)
	fixes, err := WhatWouldHelp(context.Background(), r, a)
	if err != nil {
		t.Fatal(err)
	}
	last := math.Inf(1)
	for _, f := range fixes {
		if !f.Fits || f.Gain > last || f.Gain < -1e-12 && !strings.Contains(f.Name, "idle") {
			t.Errorf("%+v after a gain of %v", f, last)
		}
		last = f.Gain
		v := r
		v.Cluster = clone(r.Cluster)
		if f.Name != "twice the memory" {
			continue
		}
		v.Cluster.Device.Memory *= 2
		if best := find(t, v).Plans[0]; best.StepSeconds != f.StepSeconds {
			t.Errorf("%s: %v s, a search finds %v s", f.Name, f.StepSeconds, best.StepSeconds)
		}
	}
	if len(fixes) < 8 {
		t.Errorf("%d changes tried", len(fixes))
	}
}

func TestRounder(t *testing.T) {
	if got := rounder(2000, 16); !slices.Equal(got, []int{1920, 1792, 1664}) {
		t.Errorf("below 2000: %v", got)
	}
	if got := rounder(2048, 16); got != nil {
		t.Errorf("below 2048: %v, want none", got)
	}
}

func TestCompare(t *testing.T) {
	r := request(t, "llama3-70b", "h100", 64, 4096, 128)
	a := find(t, r)
	other, err := hardware.Load("h200")
	if err != nil {
		t.Fatal(err)
	}
	for _, basis := range []string{SameDevices, SamePower, SamePeak} {
		c, err := CompareWith(context.Background(), r, a, other, basis)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := c.Ratios["tokens_per_second_per_device"], c.Rate.PerDevice/c.Base.PerDevice; got != want || c.Rate.Devices%other.NodeSize != 0 {
			t.Errorf("equal %s: ratio %v, want %v; %d devices", basis, got, want, c.Rate.Devices)
		}
	}
	if _, err := CompareWith(context.Background(), r, a, other, "colour"); err == nil {
		t.Error("equal colour: no error")
	}
	// Equal peak: both are the same chip, so the same number.
	if n, err := Equivalent(r.Cluster, 64, other, SamePeak, "bf16"); err != nil || n != 64 {
		t.Errorf("h200 of equal peak: %d, %v", n, err)
	}
}

func TestImpossibleRequests(t *testing.T) {
	base := request(t, "llama3-8b", "h100", 8, 4096, 64)
	for name, change := range map[string]func(*Request){
		"no devices":       func(r *Request) { r.Devices = 0 },
		"too many devices": func(r *Request) { r.Devices = math.MaxInt },
		"no batch":         func(r *Request) { r.Workload.GlobalBatch = 0 },
		"huge batch":       func(r *Request) { r.Workload.GlobalBatch = math.MaxInt },
		"huge sequence":    func(r *Request) { r.Workload.Seq = math.MaxInt },
		"no memory":        func(r *Request) { r.Cluster.Device.Memory = 0 },
		"wrong degree":     func(r *Request) { r.Space.TP = []int{7} },
		"no model":         func(r *Request) { r.Model = nil },
		"no cluster":       func(r *Request) { r.Cluster = nil },
	} {
		r := base
		r.Cluster = clone(base.Cluster)
		change(&r)
		if a, err := Search(context.Background(), r); err == nil {
			t.Errorf("%s: answered %d layouts", name, a.Considered)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Search(ctx, request(t, "llama3-8b", "h100", 8, 4096, 64)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled search: %v", err)
	}
}

// The scoring of layouts, one by one, on one core. Nothing is bounded away, so
// this is the rate of the inner loop with the tables it needs.
func BenchmarkScan(b *testing.B) {
	for _, c := range []struct {
		model, cluster string
		devices, batch int
	}{{"deepseek-v4-pro", "ascend-910c", 2048, 4096}, {"deepseek-v3", "h800", 2048, 4096}} {
		b.Run(c.model, func(b *testing.B) {
			r := request(b, c.model, c.cluster, c.devices, 4096, c.batch)
			r.Workers = 1
			r.Space = Space{Schedules: searched, Zero: []int{1, 2, 3}}
			var layouts, seconds float64
			for b.Loop() {
				p, err := newProblem(r)
				if err != nil {
					b.Fatal(err)
				}
				p.capacity, p.host = 1<<60, 1<<60
				w, err := p.each(context.Background(), keepBest, func(w *worker, u *unit) { w.run(u) })
				if err != nil {
					b.Fatal(err)
				}
				layouts += float64(w.scored)
			}
			seconds = b.Elapsed().Seconds()
			b.ReportMetric(layouts/seconds, "layouts/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// A whole search, as a user waits for it.
func BenchmarkSearch(b *testing.B) {
	for _, c := range []struct {
		model, cluster string
		devices, batch int
	}{{"deepseek-v4-pro", "ascend-910c", 2048, 4096}, {"deepseek-v3", "h800", 16384, 15360}} {
		b.Run(c.model, func(b *testing.B) {
			r := request(b, c.model, c.cluster, c.devices, 4096, c.batch)
			for b.Loop() {
				find(b, r)
			}
			b.ReportMetric(float64(runtime.GOMAXPROCS(0)), "cores")
		})
	}
}

// 296 devices have a factor of 37 that nothing can absorb: some stay idle.
func TestAwkwardNumberOfDevices(t *testing.T) {
	r := request(t, "llama3-8b", "h100", 296, 4096, 64)
	a, err := SearchWithin(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Fits || a.Idle == 0 || a.Devices+a.Idle != r.Devices || a.Devices%r.Cluster.NodeSize != 0 || a.WhyIdle == "" {
		t.Errorf("fits %v on %d devices, %d idle because %q", a.Fits, a.Devices, a.Idle, a.WhyIdle)
	}
	r.Devices = 256
	if a, err = SearchWithin(context.Background(), r); err != nil || a.Idle != 0 {
		t.Errorf("on 256 devices %d idle, %v", a.Idle, err)
	}
}
