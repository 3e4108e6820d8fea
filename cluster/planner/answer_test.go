package planner

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
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
		other := *r.Cluster
		v.Cluster = &other
		v.Cluster.Device.Memory = more.bytes
		if got := find(t, v).Fits; got != more.fits {
			t.Errorf("with %d bytes: fits %v, want %v", more.bytes, got, more.fits)
		}
	}
}

// Improving a machine never makes the best layout slower, and each change says
// what it gained.
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
		other := *base.Cluster
		r.Cluster = &other
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
