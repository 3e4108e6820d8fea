package sim

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/distributed/mesh"
)

func run(t testing.TB, p *Program, f *Faults) *Run {
	t.Helper()
	r, err := p.Run(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// conserved fails unless every rank's time adds up and its path tiles the step.
func conserved(t fataler, r *Run) {
	t.Helper()
	for i, l := range r.Ranks {
		if l.Total() != r.Wall || l.Compute < 0 || l.Communication < 0 || l.Bubble < 0 || l.Stall < 0 {
			t.Fatalf("rank %d: %+v is %d ps, the step %d", i, l, l.Total(), r.Wall)
		}
	}
	p := r.CriticalPath()
	if r.Stopped != nil {
		if p != nil {
			t.Fatal("a stopped run has a critical path")
		}
		return
	}
	at := Time(0)
	for _, s := range p.Segments {
		if s.Begin != at || s.End <= s.Begin {
			t.Fatalf("the path jumps from %d to %+v", at, s)
		}
		at = s.End
	}
	if at != r.Wall {
		t.Fatalf("the path ends at %d, the step at %d", at, r.Wall)
	}
	for _, shares := range [][]Share{p.Parts, p.Ranks} {
		sum := Time(0)
		for _, s := range shares {
			sum += s.Time
		}
		if sum != r.Wall {
			t.Fatalf("shares %v add up to %d of %d", shares, sum, r.Wall)
		}
	}
}

// The closed form of 1F1B: (m + p - 1)(F + B), then what follows it.
func TestPipelineHasItsClosedForm(t *testing.T) {
	y := ordinary
	y.send = 0
	r := run(t, y.program(t), nil)
	conserved(t, r)
	layer := 3*(y.attention+y.experts) + 4*y.route
	want := Time(y.micro+y.stages-1)*Time(y.layers)*layer + y.reduce + y.update
	if r.Wall != want {
		t.Errorf("wall %d, want %d", r.Wall, want)
	}
	for i, l := range r.Ranks {
		if l.Stall != 0 || l.Compute != Time(y.micro*y.layers)*3*(y.attention+y.experts)+y.update {
			t.Errorf("rank %d: %+v", i, l)
		}
	}
}

// A die at half speed makes its group wait by exactly its extra compute, and
// the run says so.
func TestStragglerIsNamed(t *testing.T) {
	p := ordinary.program(t)
	base := run(t, p, nil)
	r := run(t, p, &Faults{Slow: []Slow{{Target: Target{Ranks: []int{37}}, Factor: 2}}})
	conserved(t, r)
	if r.Wall <= base.Wall {
		t.Fatal("a straggler costs nothing")
	}
	if len(r.Culprits) != 1 || r.Culprits[0].Rank != 37 || r.Culprits[0].Node != 4 || r.Culprits[0].Cause != SlowDie {
		t.Errorf("culprits %+v, want rank 37 alone", r.Culprits)
	}
	path := r.CriticalPath()
	if len(path.Excess) != 1 || path.Excess[0].Rank != 37 || path.Excess[0].Node != 4 || path.Excess[0].Cause != SlowDie || path.Excess[0].Time < r.Wall-base.Wall {
		t.Errorf("excess on the path %v, the step is %d longer", path.Excess, r.Wall-base.Wall)
	}
}

// A degraded link is named by its node, though its rank is never late itself.
func TestSlowLinkIsNamed(t *testing.T) {
	p := ordinary.program(t)
	base := run(t, p, nil)
	r := run(t, p, &Faults{Links: []Link{{Target{Nodes: []int{3}}, 5, "all"}}})
	conserved(t, r)
	path := r.CriticalPath()
	if len(path.Excess) == 0 || path.Excess[0].Node != 3 || path.Excess[0].Cause != SlowLink || path.Excess[0].Time < (r.Wall-base.Wall)/4 {
		t.Errorf("%d longer, excess %+v", r.Wall-base.Wall, path.Excess)
	}
}

func TestSameBytes(t *testing.T) {
	f := &Faults{
		Seed: 3, Slow: []Slow{{Target: Target{Nodes: []int{1}}, Factor: 1.25}},
		Jitter:  []Jitter{{Distribution: "lognormal", RelativeDeviation: 0.1}, {Distribution: "spikes", Probability: 0.01, Seconds: 1e-8}},
		Links:   []Link{{Target: Target{Ranks: []int{5}}, Factor: 3, Domain: "all"}},
		Routing: &Routing{Zipf: 0.5, Variation: 0.3},
	}
	y := ordinary
	y.shared, y.portRanks = 30, 4
	var first []byte
	for range 3 {
		r := run(t, y.program(t), f)
		conserved(t, r)
		var b bytes.Buffer
		if err := r.Trace(&b, TraceOptions{}); err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = b.Bytes()
		} else if !bytes.Equal(first, b.Bytes()) {
			t.Fatal("two runs differ")
		}
	}
}

// Whatever the program and the disturbances, time is conserved, nothing gets
// faster, and another run gives the same.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := toy{
			stages: rapid.IntRange(1, 5).Draw(t, "stages"), ep: 1 << rapid.IntRange(0, 3).Draw(t, "ep"),
			micro: rapid.IntRange(1, 9).Draw(t, "micro"), layers: rapid.IntRange(1, 3).Draw(t, "layers"),
			portRanks: rapid.IntRange(1, 5).Draw(t, "ports"),
		}
		y.width = y.ep * rapid.IntRange(1, 4).Draw(t, "groups")
		for _, x := range []*Time{&y.attention, &y.experts, &y.route, &y.send, &y.reduce, &y.update} {
			*x = Time(rapid.IntRange(0, 10000).Draw(t, "time"))
		}
		y.shared = y.send * Time(rapid.IntRange(0, 2).Draw(t, "shared")) / 2
		p := y.program(t)
		base, err := p.Run(nil)
		if err != nil {
			t.Fatal(err)
		}
		conserved(t, base)
		last := p.Ranks - 1
		f := &Faults{Seed: rapid.Uint64().Draw(t, "seed")}
		if rapid.Bool().Draw(t, "slow") {
			f.Slow = []Slow{{Target{Ranks: []int{rapid.IntRange(0, last).Draw(t, "rank")}}, rapid.Float64Range(1, 3).Draw(t, "factor")}}
		}
		if rapid.Bool().Draw(t, "links") {
			f.Links = []Link{{Target{Ranks: []int{rapid.IntRange(0, last).Draw(t, "rank")}}, rapid.Float64Range(1, 9).Draw(t, "factor"), "all"}}
		}
		slower, err := p.Run(f)
		if err != nil {
			t.Fatal(err)
		}
		conserved(t, slower)
		// Shared ports are served first come first served, which may help others.
		if slower.Wall < base.Wall && y.shared == 0 {
			t.Fatalf("disturbed %d, undisturbed %d", slower.Wall, base.Wall)
		}
		f.Jitter = []Jitter{{Distribution: "normal", RelativeDeviation: 0.3}}
		if rapid.Bool().Draw(t, "stop") {
			f.Stops = []Halt{{rapid.IntRange(0, last).Draw(t, "rank"), rapid.Float64Range(0, base.Wall.Seconds()).Draw(t, "at"), "hung"}}
		}
		jittered, err := p.Run(f)
		if err != nil {
			t.Fatal(err)
		}
		conserved(t, jittered)
	})
}

// Collectives of one axis follow each other on its stream, also when they are
// only begun: the second waits for the first, and the path runs through both.
func TestStreamKeepsItsOrder(t *testing.T) {
	code := []Instruction{
		{Kind: Compute, Layer: -1, Time: 10},
		{Kind: Start, Part: 1, Layer: -1, Time: 100},
		{Kind: Start, Part: 1, Layer: -1, Time: 70},
		{Kind: Compute, Layer: -1, Time: 30},
		{Kind: Wait, Part: 1, Layer: -1, Match: 2},
		{Kind: Collective, Part: 1, Layer: -1, Time: 5},
	}
	p := &Program{
		Ranks: 4, Stages: [][]Instruction{code}, Parts: []string{"work", "message"}, Node: 4, PortRanks: 1, ExpertAxis: -1,
		Axes: []Axis{{Name: "dp", Group: func(int) mesh.Group { return mesh.Group{First: 0, Stride: 1, Size: 4} }}},
	}
	r := run(t, p, nil)
	conserved(t, r)
	path := r.CriticalPath()
	if r.Wall != 10+100+70+5 || len(path.Segments) != 4 || path.Parts[0] != (Share{"message", 175}) {
		t.Errorf("wall %d, path %+v", r.Wall, path)
	}
	if l := r.Ranks[2]; l.Compute != 40 || l.Communication != 145 || l.Stall != 0 {
		t.Errorf("%+v", l)
	}
	// A rank that comes late holds the second one up, and is named for it.
	r = run(t, p, &Faults{Slow: []Slow{{Target{Ranks: []int{1}}, 20}}})
	conserved(t, r)
	if r.Wall != 805 || len(r.Culprits) != 1 || r.Culprits[0].Rank != 1 {
		t.Errorf("wall %d, culprits %+v", r.Wall, r.Culprits)
	}
}
