package sim

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/distributed/mesh"
)

func TestReadFaults(t *testing.T) {
	const src = `seed: 7
collective_timeout_seconds: 360
slow:
  - {ranks: [17], factor: 1.3}
  - {nodes: [3], factor: 2}
jitter:
  - {distribution: lognormal, relative_deviation: 0.05}
  - {distribution: spikes, probability: 1e-4, seconds: 0.1, nodes: [2]}
links:
  - {nodes: [5], factor: 4, domain: scale-out}
stops:
  - {rank: 12, at_seconds: 1.5, cause: hung}
routing:
  loads: [3.1, 2.2, 1.7, 1, 0.6]
  variation: 0.2
`
	path := filepath.Join(t.TempDir(), "faults.yaml")
	if err := os.WriteFile(path, []byte(src), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := ReadFaults(path, 64, 8)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range f.Singles() {
		names = append(names, s.Name)
	}
	const want = `rank 17 slow, 1.3x
node 3 slow, 2x
lognormal jitter of 5 % on all ranks
spikes of 0.1 s, probability 0.0001, on node 2
scale-out links of node 5 slow, 4x
rank 12 hung at 1.5 s
routing by a histogram of 5 loads, variation 0.2`
	if got := strings.Join(names, "\n"); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestFaultsAreRefused(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "sim: f.yaml: the file is empty: name at least one of slow, jitter, links, stops, routing"},
		{"slow:\n  - {ranks: [64], factor: 2}\n", "sim: f.yaml:2:14: slow[0].ranks[0]: rank 64 does not exist: the ranks are 0 to 63"},
		{"slow:\n  - {nodes: [8], factor: 2}\n", "sim: f.yaml:2:14: slow[0].nodes[0]: node 8 does not exist: the nodes are 0 to 7, of 8 ranks each"},
		{"slow:\n  - {ranks: [6], factor: 0.5}\n", "sim: f.yaml:2:26: slow[0].factor: 0.5 is outside [1, 1000]: the nearest legal value is 1"},
		{"slow:\n  - {ranks: [6]}\n", "sim: f.yaml:2:5: slow[0].factor: 0 is outside [1, 1000]: the nearest legal value is 1"},
		{"slow:\n  - {ranks: [6], factor: .nan}\n", "sim: f.yaml:2:26: slow[0].factor: NaN is outside [1, 1000]: the nearest legal value is 1"},
		{"links:\n  - {factor: 2, domain: wifi}\n", `sim: f.yaml:2:25: links[0].domain: "wifi" is not known: use scale-out (what leaves the node's own links) or all`},
		{"jitter:\n  - {distribution: cauchy}\n", `sim: f.yaml:2:20: jitter[0].distribution: "cauchy" is not known: use normal, lognormal or spikes`},
		{"jitter:\n  - {distribution: spikes, probability: 2}\n", "sim: f.yaml:2:41: jitter[0].probability: 2 is outside [0, 1]: the nearest legal value is 1"},
		{"stops:\n  - {rank: 1, at_seconds: 1, cause: bored}\n", `sim: f.yaml:2:37: stops[0].cause: "bored" is not known: use hung (noticed by a timeout) or dead (noticed by a heartbeat)`},
		{"routing: {loads: [0, 0]}\n", "sim: f.yaml:1:18: routing.loads: all are zero: some expert must get tokens"},
		{"routing: {loads: [1], zipf: 1}\n", "sim: f.yaml:1:29: routing.zipf: give loads or zipf, not both"},
		{"slow: []\n---\nslow: []\n", "sim: f.yaml: there is a second document, one is read"},
	} {
		_, err := DecodeFaults([]byte(c.src), "f.yaml", 64, 8)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q:\n got %v\nwant %s", c.src, err, c.want)
		}
	}
	if _, err := DecodeFaults([]byte("slwo: []\n"), "f.yaml", 64, 8); err == nil || !strings.Contains(err.Error(), "[1:1]") || !strings.Contains(err.Error(), "slwo") {
		t.Errorf("unknown key: %v", err)
	}
	y := ordinary
	p := y.program(t)
	p.ExpertAxis = -1
	for _, code := range p.Stages {
		for i := range code {
			code[i].Scale = Fixed
		}
	}
	if _, err := p.Run(&Faults{Routing: &Routing{Zipf: 1}}); err == nil || !strings.Contains(err.Error(), "routes no tokens") {
		t.Errorf("routing on a dense model: %v", err)
	}
}

// A hung rank is noticed by the first member of its groups whose wait reaches
// the timeout, a dead one by its node's heartbeat.
func TestStops(t *testing.T) {
	p := ordinary.program(t)
	f := &Faults{CollectiveTimeoutSeconds: 360, HeartbeatSeconds: 5, Stops: []Halt{{Rank: 22, AtSeconds: 2e-8, Cause: "hung"}}}
	r := run(t, p, f)
	conserved(t, r)
	s := r.Stopped
	if s == nil || s.Rank != 22 || s.Node != 2 || s.Cause != "hung" || s.Blocked != 63 || s.Done != 0 {
		t.Fatalf("%+v", s)
	}
	// The stage before waits for the answer to its first micro-batch since
	// before the hang: that wait, of ranks 4 to 7, is the first to be too long.
	if s.DetectedBy != 4 || s.Detected != r.e.ranks[4].clock+FromSeconds(360) || r.e.ranks[4].clock > s.At || r.e.ranks[20].clock < s.At {
		t.Errorf("detected by %d at %d", s.DetectedBy, s.Detected)
	}
	f.Stops[0].Cause = "dead"
	s = run(t, p, f).Stopped
	if s == nil || s.DetectedBy != 22 || s.Detected != s.At+FromSeconds(5) {
		t.Errorf("a dead rank: %+v", s)
	}
	f.Stops[0].AtSeconds = 1 // long after the step
	if r := run(t, p, f); r.Stopped != nil {
		t.Errorf("a rank that dies after the step stops it: %+v", r.Stopped)
	}
	var b bytes.Buffer
	f.Stops[0].AtSeconds = 2e-8
	r = run(t, p, f)
	r.Explain(&b)
	if !strings.Contains(b.String(), "rank 22 (node 2, stage 1) was dead at") {
		t.Error(b.String())
	}
	b.Reset()
	if err := r.Trace(&b, TraceOptions{Ranks: []int{20, 22}}); err != nil {
		t.Fatal(err)
	}
	nested(t, read(t, b.Bytes()))
}

// With the experts' loads given, the step is as long as the busiest rank of
// each layer makes it: computed here a second way, layer by layer.
func TestRoutingCostsTheBusiest(t *testing.T) {
	y := ordinary
	y.stages, y.width, y.ep, y.layers, y.send, y.micro = 1, 8, 8, 5, 0, 3
	p := y.program(t)
	routing := &Routing{Loads: []float64{4, 3, 2, 1}}
	r := run(t, p, &Faults{Seed: 9, Routing: routing})
	conserved(t, r)
	if r.Imbalance < 1 || r.Imbalance > 1.6 {
		t.Errorf("imbalance %v", r.Imbalance)
	}
	var want float64
	rt := newRouter(p, routing, 9)
	for layer := range y.layers {
		sum, busiest := 0.0, 0.0
		for _, m := range rt.layers[layer] {
			sum += m.mean
			busiest = max(busiest, m.mean)
		}
		rho := busiest * float64(y.ep) / sum
		if rho < 1 || rho > 4/2.5 {
			t.Errorf("layer %d: the busiest rank has %v times the mean", layer, rho)
		}
		want += float64(y.micro) * (3*float64(y.attention) + 3*float64(y.experts)*rho + 4*float64(y.route)*rho)
	}
	want += float64(y.reduce + y.update)
	if math.Abs(float64(r.Wall)-want) > 0.5*float64(8*y.layers*y.micro) {
		t.Errorf("wall %d, want %v", r.Wall, want)
	}
}

// Loads keep their mean whatever varies, and vary as much as asked.
func TestRouterLoads(t *testing.T) {
	y := ordinary
	y.stages, y.width, y.ep, y.layers = 1, 16, 16, 8
	p := y.program(t)
	rt := newRouter(p, &Routing{Variation: 0.4}, 1)
	var sum, square float64
	n := 0
	for layer := range y.layers {
		for micro := range 200 {
			d := drawn{layer: int32(layer), micro: int32(micro), rho: make([]float64, y.ep)}
			rt.draw(&group{Group: mesh.Group{First: 0, Stride: 1, Size: y.ep}}, &d)
			total := 0.0
			for _, x := range d.rho {
				total += x
				sum += x
				square += float64(x * x)
				n++
			}
			if math.Abs(total-float64(y.ep)) > 1e-9 {
				t.Fatalf("the loads add up to %v", total)
			}
		}
	}
	mean := sum / float64(n)
	deviation := math.Sqrt(square/float64(n) - float64(mean*mean))
	// Four experts a rank, each 0.4 around 1, the group's total divided out.
	want := 0.4 / 2 * math.Sqrt(1-1/float64(y.ep))
	if math.Abs(deviation-want) > 0.02*want {
		t.Errorf("loads vary by %v, want %v", deviation, want)
	}
}

// Two ranks that share a port send one after the other.
func TestSharedPorts(t *testing.T) {
	y := toy{stages: 2, width: 4, ep: 1, micro: 1, layers: 1, attention: 100, send: 70, shared: 60}
	one := run(t, y.program(t), nil)
	y.portRanks = 4
	four := run(t, y.program(t), nil)
	conserved(t, one)
	conserved(t, four)
	// Forward: the last of four ranks starts to send 3 × 60 later. Backward:
	// the ranks come back spread by 60, so nobody queues again.
	if got := four.Wall - one.Wall; got != 180 {
		t.Errorf("sharing costs %d, want 180", got)
	}
	// Forward and backward, each once; four sends in turn, and one back.
	path := four.CriticalPath()
	want := map[string]Time{"attention": 100 + 100 + 200 + 200, "send": 3*60 + 70 + 70}
	for _, s := range path.Parts {
		if s.Time != want[s.Name] {
			t.Errorf("%s takes %d of the path, want %d", s.Name, s.Time, want[s.Name])
		}
	}
	if len(path.Excess) != 0 {
		t.Errorf("a path without disturbances has an excess: %+v", path.Excess)
	}
}

// Jitter of a given deviation has it, and mean 1.
func TestJitterMoments(t *testing.T) {
	y := toy{stages: 1, width: 1, ep: 1, micro: 3000, layers: 1, attention: 1e6}
	p := y.program(t)
	for _, j := range []Jitter{{Distribution: "normal", RelativeDeviation: 0.1}, {Distribution: "lognormal", RelativeDeviation: 0.3}} {
		r := run(t, p, &Faults{Seed: 5, Jitter: []Jitter{j}})
		var sum, square, n float64
		last := Time(0)
		for pc, in := range p.Stages[0] {
			end := r.e.ended(0, int32(pc))
			if in.Kind == Compute && in.Time > 0 {
				x := float64(end-last) / float64(in.Time)
				sum, square, n = sum+x, square+float64(x*x), n+1
			}
			last = end
		}
		mean := sum / n
		deviation := math.Sqrt(square/n - float64(mean*mean))
		if math.Abs(mean-1) > 4*j.RelativeDeviation/math.Sqrt(n) || math.Abs(deviation-j.RelativeDeviation) > 0.06*j.RelativeDeviation {
			t.Errorf("%s: mean %v, deviation %v", j.Distribution, mean, deviation)
		}
	}
	for x := -20.0; x < 20; x += 0.37 {
		if got := exp(x); math.Abs(got-math.Exp(x)) > 4e-15*math.Exp(x) {
			t.Errorf("exp(%v) = %v", x, got)
		}
	}
}

func TestCompare(t *testing.T) {
	p := ordinary.program(t)
	c, err := p.Compare(&Faults{
		Slow:  []Slow{{Target{Ranks: []int{5}}, 1.5}, {Target{Ranks: []int{6}}, 1.4}},
		Links: []Link{{Target{Nodes: []int{7}}, 4, "all"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Costs) != 3 || c.Costs[0].Extra <= c.Costs[1].Extra || c.Costs[2].Extra <= 0 || c.Disturbed.Wall < c.Costs[0].Wall {
		t.Errorf("%+v", c.Costs)
	}
	if c.Together >= 0 {
		t.Errorf("two slow members of one expert group cost their sum or more: %d", c.Together)
	}
	var b bytes.Buffer
	c.Explain(&b)
	for _, want := range []string{"rank 5 slow, 1.5x:", "all together:", "less than their sum", "who is waited for:\n  rank 5 (node 0, stage 0), a slow die:"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// Alone, the second of two jitters draws what it draws beside the first.
func TestCompareJitters(t *testing.T) {
	p := ordinary.program(t)
	f := &Faults{Seed: 3, Jitter: []Jitter{
		{Target: Target{Ranks: []int{3}}, Distribution: "lognormal", RelativeDeviation: 0.2},
		{Target: Target{Ranks: []int{5}}, Distribution: "spikes", Probability: 0.5, Seconds: 0.01},
	}}
	c, err := p.Compare(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Costs) != 2 || c.Costs[0].Extra <= 0 || c.Costs[1].Extra <= 0 {
		t.Errorf("%+v", c.Costs)
	}
	f.Jitter[0].RelativeDeviation = 0
	second, err := p.Run(f)
	if err != nil {
		t.Fatal(err)
	}
	if second.Wall != c.Costs[1].Wall {
		t.Errorf("the second jitter alone takes %d, beside one that does nothing %d", c.Costs[1].Wall, second.Wall)
	}
}

func FuzzDecodeFaults(f *testing.F) {
	f.Add([]byte("slow:\n  - {ranks: [17], factor: 1.3}\nrouting: {zipf: 1}\n"))
	f.Add([]byte("stops: [{rank: 1e99, at_seconds: .inf, cause: dead}]\n"))
	y := ordinary
	y.width, y.stages, y.micro = 4, 2, 2
	p := y.program(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		faults, err := DecodeFaults(src, "f.yaml", p.Ranks, p.Node)
		if err != nil {
			return
		}
		r, err := p.Run(faults)
		if err != nil {
			t.Fatalf("what was decoded does not run: %v", err)
		}
		conserved(t, r)
	})
}
