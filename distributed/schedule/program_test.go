package schedule

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/distributed/mesh"
)

func exampleSpec(k Kind, stages, chunks, micro int) Spec {
	layers := Layers{Blocks: 4 * stages * chunks, MTP: 1}
	cuts := chunks
	if k == DualPipe {
		cuts = 1
	}
	split, err := SplitEven(layers, stages, cuts, Even{})
	if k == DualPipe {
		split, err = SplitEven(Layers{Blocks: 4 * stages, MTP: 1}, stages, 1, Even{})
	}
	if err != nil {
		panic(err)
	}
	experts := make([]bool, split.Blocks())
	for i := range experts {
		experts[i] = i >= 3
	}
	return Spec{
		Mesh: mesh.Mesh{TP: 2, CP: 2, DP: 4, PP: stages, EP: 8, ETP: 1},
		Kind: k, Chunks: chunks, Micro: micro, Split: split, Experts: experts,
		Zero: 1, Recompute: RecomputeSelective, Sequence: true,
		Overlap: Overlap{Sends: true, Gradients: true, Parameters: true},
	}
}

func TestProgramsPassTheirCheck(t *testing.T) {
	for _, k := range Kinds() {
		chunks := map[Kind]int{Interleaved: 3, ZBV: 2, DualPipe: 2, DualPipeV: 2}[k]
		for _, blocking := range []bool{false, true} {
			if blocking && !k.AllowsBlockingSends() {
				continue
			}
			for zero := range 4 {
				for _, stages := range []int{2, 4, 6} {
					for _, fold := range []int{2, 5} {
						s := exampleSpec(k, stages, max(1, chunks), stages*fold)
						s.Zero = zero
						s.Tied = zero%2 == 0
						s.Offload = []Offload{"", OffloadNone, OffloadSwap, OffloadHost}[zero]
						s.Checkpoint = zero > 1
						s.Overlap.Sends = !blocking
						if _, err := NewProgram(s); err != nil {
							t.Errorf("%v, blocking %v, zero %d, %d stages, %d microbatches: %v", k, blocking, zero, stages, s.Micro, err)
						}
					}
				}
			}
		}
	}
}

// clone copies a program so that its instructions can be changed.
func (p *Program) clone() *Program {
	q := *p
	q.Stages = make([][]Instruction, len(p.Stages))
	for stage, list := range p.Stages {
		q.Stages[stage] = slices.Clone(list)
	}
	return &q
}

func drawProgram(t *rapid.T) *Program {
	k := rapid.SampledFrom(Kinds()).Draw(t, "kind")
	chunks := map[Kind]int{Interleaved: 2, ZBV: 2, DualPipe: 2, DualPipeV: 2}[k]
	stages := rapid.SampledFrom([]int{2, 4}).Draw(t, "stages")
	s := exampleSpec(k, stages, max(1, chunks), 2*stages)
	s.Zero = rapid.IntRange(0, 3).Draw(t, "zero")
	s.Tied = rapid.Bool().Draw(t, "tied")
	s.Checkpoint = rapid.Bool().Draw(t, "checkpoint")
	s.Offload = rapid.SampledFrom([]Offload{"", OffloadNone, OffloadSwap, OffloadHost}).Draw(t, "offload")
	s.Overlap.Sends = !k.AllowsBlockingSends() || rapid.Bool().Draw(t, "overlap")
	p, err := NewProgram(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever instruction is left out or repeated, Check says so.
func TestCheckFindsEveryDroppedAndDoubledInstruction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t)
		stage := rapid.IntRange(0, len(p.Stages)-1).Draw(t, "stage")
		n := rapid.IntRange(0, len(p.Stages[stage])-1).Draw(t, "instruction")
		in := p.Stages[stage][n]

		dropped := p.clone()
		dropped.Stages[stage] = slices.Delete(dropped.Stages[stage], n, n+1)
		if err := dropped.Check(); err == nil {
			t.Fatalf("stage %d without instruction %d, %v, passes", stage, n, in)
		}
		doubled := p.clone()
		doubled.Stages[stage] = slices.Insert(doubled.Stages[stage], n, in)
		if err := doubled.Check(); err == nil {
			t.Fatalf("stage %d with instruction %d, %v, twice passes", stage, n, in)
		}
	})
}

// What a Check lets through after a change of order is still a program in which
// every compute instruction has its inputs and every stage ends.
func TestCheckAfterAChangeOfOrder(t *testing.T) {
	refused, passed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p := drawProgram(t).clone()
		stage := rapid.IntRange(0, len(p.Stages)-1).Draw(t, "stage")
		list := p.Stages[stage]
		n := rapid.IntRange(0, len(list)-2).Draw(t, "instruction")
		list[n], list[n+1] = list[n+1], list[n]
		a, b := list[n+1], list[n]
		err := p.Check()
		if err == nil {
			passed++
		} else {
			refused++
		}
		// Two messages of one direction, a pass and the message it makes or takes,
		// the update and what surrounds it: their order is fixed.
		same := a.isSend() && b.isSend() || a.isReceive() && b.isReceive()
		fixed := same && a.Peer == b.Peer && a != b || a.Op == Optimizer || b.Op == Optimizer || a.Op == Norm || b.Op == Norm
		if fixed && err == nil {
			t.Fatalf("stage %d: %v before %v passes", stage, b, a)
		}
	})
	if refused == 0 || passed == 0 {
		t.Errorf("%d refused, %d passed: want some of both", refused, passed)
	}
}

func TestCheckNamesWhoWaitsForWhom(t *testing.T) {
	s := exampleSpec(OneFOneB, 2, 1, 4)
	s.Overlap.Sends = false
	p, err := NewProgram(s)
	if err != nil {
		t.Fatal(err)
	}
	// Stage 0 sends microbatch 1 only after its collective on a gradient that
	// stage 1 makes after it has received microbatch 1.
	list := p.Stages[0]
	at := slices.IndexFunc(list, func(i Instruction) bool { return i.Op == SendForward && i.Micro == 1 })
	to := slices.IndexFunc(list, func(i Instruction) bool { return i.Op == RecvBackward && i.Micro == 0 })
	send := list[at]
	list = slices.Delete(list, at, at+1)
	p.Stages[0] = slices.Insert(list, to, Instruction{Op: Backward}, send)
	if err := p.Check(); err == nil {
		t.Fatal("passes")
	}
	for _, c := range []struct {
		change func(p *Program)
		want   string
	}{
		{
			func(p *Program) {
				at := slices.IndexFunc(p.Stages[1], func(i Instruction) bool { return i.Op == ReduceGradients })
				p.Stages[1][at].Axis = mesh.TP
			},
			"stage 1: reduce-gradients of chunk 0 over tp happens 1 times, must happen 0 times",
		},
		{
			func(p *Program) { p.Stages[0][1].Micro = 2 },
			"stage 0: instruction 1 is send-forward 2.0 to stage 1, before it has been computed",
		},
		{
			func(p *Program) { p.Stages[0][1].Peer = 7 },
			"stage 0: instruction 1 is send-forward 0.0 to stage 7, but the stages are 0..1",
		},
		{
			func(p *Program) { p.Spec.Zero = 5 },
			"zero is 5, must lie in 0..3, nearest legal value 3",
		},
	} {
		q, err := NewProgram(s)
		if err != nil {
			t.Fatal(err)
		}
		c.change(q)
		if err := q.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %s", err, c.want)
		}
	}
}

// Interleaved stages that send as 1F1B ones do, each waiting for its receiver,
// wait in a circle; the check names two of them.
func TestBlockingSendsOfInterleavedStagesDeadlock(t *testing.T) {
	for _, k := range Kinds() {
		if k.AllowsBlockingSends() {
			continue
		}
		p, err := NewProgram(exampleSpec(k, 4, 2, 8))
		if err != nil {
			t.Fatal(err)
		}
		p.Spec.Overlap.Sends = false
		if err := newPlay(p).run(); err == nil || !strings.Contains(err.Error(), "deadlock: stage 0 waits in ") || !strings.Contains(err.Error(), " waits in instruction ") {
			t.Errorf("%v: %v", k, err)
		}
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), "overlap of sends is off, must be on for "+string(k)) {
			t.Errorf("%v: %v", k, err)
		}
	}
}

// Ranks of one stage share their instructions; their partners come from the
// mesh, and partners agree.
func TestPartnersOfRanksAgree(t *testing.T) {
	for _, k := range Kinds() {
		chunks := map[Kind]int{Interleaved: 2, ZBV: 2, DualPipe: 2, DualPipeV: 2}[k]
		s := exampleSpec(k, 4, max(1, chunks), 8)
		s.Tied = true
		p, err := NewProgram(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, rank := range []int{0, 5, 17, 33, s.Mesh.World() - 1} {
			for _, in := range p.Of(rank) {
				if in.isMessage() {
					peer := p.Peer(rank, in)
					if p.Stage(peer) != int(in.Peer) || p.Spec.Mesh.Group(mesh.PP, peer) != p.Spec.Mesh.Group(mesh.PP, rank) {
						t.Fatalf("rank %d: %v goes to rank %d", rank, in, peer)
					}
					back := in
					back.Peer = int32(p.Stage(rank))
					if in.Op == ReduceTied && p.Group(rank, in) != p.Group(peer, back) {
						t.Fatalf("rank %d: %v in group %v", rank, in, p.Group(rank, in))
					}
				} else if g := p.Group(rank, in); g.Index(rank) < 0 {
					t.Fatalf("rank %d: %v in group %v", rank, in, g)
				}
			}
		}
		if p.Of(-1) != nil || p.Of(s.Mesh.World()) != nil {
			t.Error("ranks outside the mesh have a program")
		}
	}
}

func TestWorkNamesItsAxes(t *testing.T) {
	s := exampleSpec(OneFOneB, 2, 1, 4)
	s.Mesh = mesh.Mesh{TP: 2, CP: 2, DP: 4, PP: 2, EP: 4, ETP: 2}
	s.Recompute = RecomputeFull
	p, err := NewProgram(s)
	if err != nil {
		t.Fatal(err)
	}
	text := func(stage int, op Op) string {
		var b strings.Builder
		for _, w := range p.Work(stage, 0, op) {
			if w.Again {
				b.WriteString("again ")
			}
			b.WriteString(w.Op.String())
			if w.Axis != mesh.None {
				b.WriteString(":" + w.Axis.String())
			}
			b.WriteString(" ")
		}
		return b.String()
	}
	dense := "tensor-gather:tp context-gather:cp attention tensor-scatter:tp tensor-gather:tp feed-forward tensor-scatter:tp "
	expert := "tensor-gather:tp context-gather:cp attention tensor-scatter:tp dispatch:ep tensor-gather:etp experts tensor-scatter:etp combine:ep "
	head := "tensor-gather:tp head "
	if got, want := text(0, Forward), "embedding tensor-scatter:tp "+dense+dense+dense+expert; got != want {
		t.Errorf("first stage forward:\n%s\nwant\n%s", got, want)
	}
	if got, want := text(1, Forward), expert+expert+expert+expert+head+"prediction tensor-scatter:tp "+expert+head; got != want {
		t.Errorf("last stage forward:\n%s\nwant\n%s", got, want)
	}
	back := "dispatch:ep tensor-gather:etp experts tensor-scatter:etp combine:ep tensor-gather:tp attention context-gather:cp tensor-scatter:tp "
	again := "again " + strings.ReplaceAll(strings.TrimSuffix(expert, " "), " ", " again ") + " "
	if got := text(1, Backward); !strings.HasSuffix(got, again+back) {
		t.Errorf("last stage backward:\n%s\nwant at the end\n%s", got, again+back)
	}
	if got, want := text(1, BackwardWeight), "head experts attention prediction head experts attention experts attention experts attention experts attention "; got != want {
		t.Errorf("last stage weight gradients:\n%s\nwant\n%s", got, want)
	}
	if p.Work(2, 0, Forward) != nil || p.Work(0, 1, Forward) != nil || p.Work(0, 0, Optimizer) != nil {
		t.Error("work outside the pipeline")
	}
}

// A program of 2,048 ranks is as large as its stages, not its ranks.
func TestRanksShareTheirProgram(t *testing.T) {
	s := exampleSpec(OneFOneB, 16, 1, 64)
	s.Mesh = mesh.Mesh{TP: 1, CP: 1, DP: 128, PP: 16, EP: 128, ETP: 1}
	p, err := NewProgram(s)
	if err != nil {
		t.Fatal(err)
	}
	if &p.Of(0)[0] != &p.Of(127)[0] || &p.Of(0)[0] == &p.Of(128)[0] {
		t.Error("ranks of a stage must share, those of different stages must not")
	}
}
