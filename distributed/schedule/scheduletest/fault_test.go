package scheduletest

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// program writes the program of a spec, which tests then change.
func program(t testing.TB, s schedule.Spec) *schedule.Program {
	t.Helper()
	p, err := schedule.NewProgram(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// find returns the n-th instruction of a stage with an operation.
func find(t testing.TB, p *schedule.Program, stage int, op schedule.Op, n int) int {
	t.Helper()
	for i, in := range p.Stages[stage] {
		if in.Op != op {
			continue
		}
		if n == 0 {
			return i
		}
		n--
	}
	t.Fatalf("stage %d has no such %v", stage, op)
	return -1
}

func drop(p *schedule.Program, stage, n int) {
	p.Stages[stage] = slices.Delete(slices.Clone(p.Stages[stage]), n, n+1)
}

func swap(p *schedule.Program, stage, n, k int) {
	list := slices.Clone(p.Stages[stage])
	list[n], list[k] = list[k], list[n]
	p.Stages[stage] = list
}

// Every kind of fault is found where it shows first, and named.
func TestFaultsAreNamed(t *testing.T) {
	small := spec(schedule.OneFOneB)
	small.Mesh = mesh.Mesh{TP: 1, CP: 1, DP: 2, PP: 2, EP: 2, ETP: 1}
	blocking, sharded, partial := small, small, small
	partial.Zero = 2
	blocking.Overlap.Sends = false
	sharded.Zero = 3
	all := small
	all.Kind = schedule.GPipe
	for name, c := range map[string]struct {
		spec   schedule.Spec
		change func(p *schedule.Program)
		want   []string
	}{
		"a send is left out": {small, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.SendForward, 3))
		}, []string{"deadlock: 4 of 4 ranks wait", "rank 2 waits in step 0, instruction 10 of stage 1, recv-forward 3.0 from stage 0 for rank 0, which waits in step 0, instruction "}},
		"a receive is left out": {small, func(p *schedule.Program) {
			drop(p, 1, find(t, p, 1, schedule.RecvForward, 1))
		}, []string{"rank 2: step 0, instruction 4 of stage 1, F1.0: the activation of microbatch 1 of part 0 has not been received"}},
		"a receive is left out and nobody misses it": {small, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.RecvBackward, 3))
			drop(p, 0, find(t, p, 0, schedule.Backward, 3))
		}, []string{"optimizer: wrong provenance: the gradient of attention norm 0 of block 0 has seen token 0 of microbatch 3 0 times, must have 1 times"}},
		"a blocking send has no receiver": {blocking, func(p *schedule.Program) {
			drop(p, 1, find(t, p, 1, schedule.RecvForward, 3))
			drop(p, 1, find(t, p, 1, schedule.Forward, 3))
			drop(p, 1, find(t, p, 1, schedule.Backward, 3))
		}, []string{"rank 2: step 0, instruction", "send-backward 3.0 to stage 0: microbatch 3 of chunk 0 has not been computed"}},
		"blocking sends in a circle": {blocking, func(p *schedule.Program) {
			n := find(t, p, 0, schedule.SendForward, 1)
			swap(p, 0, n, find(t, p, 0, schedule.Backward, 0))
		}, []string{"rank 0: step 0, instruction", "B0.0: the gradient of microbatch 0 of part 1 has not been received"}},
		"two microbatches are sent in the wrong order": {small, func(p *schedule.Program) {
			swap(p, 1, find(t, p, 1, schedule.SendBackward, 0), find(t, p, 1, schedule.SendBackward, 1))
		}, []string{"rank 2: step 0, instruction", "send-backward 1.0 to stage 0: microbatch 1 of chunk 0 has not been computed"}},
		"two microbatches are taken for each other": {all, func(p *schedule.Program) {
			list := slices.Clone(p.Stages[1])
			for i := range list[:4] { // receive 0, forward 0, receive 1, forward 1
				list[i].Micro = 1 - list[i].Micro
			}
			p.Stages[1] = list
		}, []string{"rank 2: step 0, instruction 1 of stage 1, F1.0: wrong provenance: needs the activation of part 0 for microbatch 1 of step 0, has the activation of part 0 for microbatch 0 of step 0"}},
		"a reduction is left out": {small, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.ReduceGradients, 0))
		}, []string{"rank 0: step 0, instruction", "optimizer: wrong provenance: the gradient of attention norm 0 of block 0 has seen token 0 of microbatch 0 0 times, must have 1 times"}},
		"a reduction is over too few ranks": {spec(schedule.OneFOneB), func(p *schedule.Program) {
			list := slices.Clone(p.Stages[1])
			for i := range list {
				if list[i].Axis == mesh.DPCP {
					list[i].Axis = mesh.DP
				}
			}
			p.Stages[1] = list
		}, []string{"wrong provenance: the gradient of "}},
		"experts are reduced with dense weights": {small, func(p *schedule.Program) {
			list := slices.Clone(p.Stages[1])
			list[find(t, p, 1, schedule.ReduceGradients, 0)].Axis = mesh.EP
			p.Stages[1] = list
		}, []string{"optimizer: wrong provenance"}},
		"a gradient is kept that must be sharded": {partial, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.ReduceGradients, 0))
		}, []string{"rank 0: step 0, instruction", "B1.0: the gradient of the microbatch before has not been reduced over dpcp"}},
		"updated weights are not gathered": {small, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.GatherUpdated, 0))
		}, []string{"has not been gathered"}},
		"sharded weights are not gathered": {sharded, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.GatherParameters, 2))
		}, []string{"rank 0: step 0, instruction", "the weights of chunk 0 have not been gathered over dpcp"}},
		"one stage leaves the norm out": {small, func(p *schedule.Program) {
			drop(p, 1, find(t, p, 1, schedule.Norm, 0))
		}, []string{"rank 2: step 0, instruction", "optimizer: the norm of the gradient is not known"}},
		"ranks disagree about a collective": {sharded, func(p *schedule.Program) {
			n := find(t, p, 0, schedule.ReduceGradients, 0)
			p.Stages[0] = slices.Insert(slices.Clone(p.Stages[0]), n, schedule.Instruction{Op: schedule.Norm, Axis: mesh.All, Peer: -1})
		}, []string{"optimizer: wrong provenance", "deadlock"}},
		"a tied gradient is not exchanged": {small, func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.ReduceTied, 0))
			drop(p, 1, find(t, p, 1, schedule.ReduceTied, 0))
		}, []string{"optimizer: wrong provenance: the gradient of row of the embedding"}},
		"replicated gradients are not added up": {spec(schedule.OneFOneB), func(p *schedule.Program) {
			drop(p, 0, find(t, p, 0, schedule.ReduceReplicated, 0))
		}, []string{"optimizer: wrong provenance: the gradient of attention norm 0 of block 0 has seen token"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := program(t, c.spec)
			c.change(p)
			err := Check(context.Background(), p)
			if err == nil {
				t.Fatal("is not found")
			}
			found := slices.ContainsFunc(c.want, func(w string) bool { return strings.Contains(err.Error(), w) })
			if !found {
				t.Errorf("%v\nwant one of %q", err, c.want)
			}
		})
	}
}

// Whatever instruction is left out, a run fails.
func TestEveryDroppedInstructionIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, err := schedule.NewProgram(drawSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		stage := rapid.IntRange(0, len(p.Stages)-1).Draw(t, "stage")
		n := rapid.IntRange(0, len(p.Stages[stage])-1).Draw(t, "instruction")
		in := p.Stages[stage][n]
		drop(p, stage, n)
		if err := Check(context.Background(), p); err == nil {
			t.Fatalf("stage %d without instruction %d, %v, runs and computes the same", stage, n, in)
		}
	})
}

// What Program.Check lets through after any change of order runs, and computes
// the same.
func TestProgramCheckIsSound(t *testing.T) {
	passed, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p, err := schedule.NewProgram(drawSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		stage := rapid.IntRange(0, len(p.Stages)-1).Draw(t, "stage")
		list := slices.Clone(p.Stages[stage])
		n := rapid.IntRange(0, len(list)-1).Draw(t, "instruction")
		to := min(max(n+rapid.IntRange(-3, 3).Draw(t, "by"), 0), len(list)-1)
		in := list[n]
		list = slices.Insert(slices.Delete(list, n, n+1), to, in)
		p.Stages[stage] = list
		if p.Check() != nil {
			refused++
			return
		}
		passed++
		if err := Check(context.Background(), p); err != nil {
			t.Fatalf("%v, %v, split %v: stage %d with %v moved from %d to %d passes the check of the program, but %v",
				p.Spec.Shape(), p.Spec.Mesh, p.Spec.Split, stage, in, n, to, err)
		}
	})
	if passed == 0 || refused == 0 {
		t.Errorf("%d passed, %d refused: want some of both", passed, refused)
	}
}

// A run ends with its context, and says who was waiting.
func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	s := spec(schedule.OneFOneB)
	s.Micro = 500
	if _, err := Run(ctx, program(t, s)); err == nil || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Errorf("%v, want the deadline of the context", err)
	}
}
