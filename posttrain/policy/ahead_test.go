package policy_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train"
)

func ahead(s *setup) { s.rollout.Ahead = 1 }

// TestAheadIsDeterministic: sampling beside the updates, on any number of threads, gives
// the bits of sampling and updating in turn.
func TestAheadIsDeterministic(t *testing.T) {
	defer kernel.SetThreads(kernel.Threads())
	var want []train.Result
	var final string
	for i, threads := range []int{2, 1, 3} {
		kernel.SetThreads(threads)
		s := newSetup(t, "dapo", 6, func(s *setup) { ahead(s); s.rollout.Updates = 2 })
		s.loss.MaskTruncated = false
		b := newBank(s.rollout)
		j := s.begin(t, newModel(t, s.arch), b)
		var got []train.Result
		for !j.trainer.Done() {
			taken, _ := j.trainer.Steps()
			if _, _, err := j.stage.Prepare(t.Context(), taken); err != nil {
				t.Fatal(err)
			}
			if threads == 1 { // nothing runs beside the updates
				if err := j.stage.Settle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			r, err := j.trainer.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		d := weights(t, j.model).String()
		if i == 0 {
			want, final = got, d
			if want[0].Terms[policy.LargestTerm] != 0 || want[2].Terms[policy.LargestTerm] == 0 {
				t.Errorf("the first round is of the first weights, the second of older ones: %v, %v", want[0].Terms, want[2].Terms)
			}
			continue
		}
		for k := range got {
			if !maps.Equal(got[k].Terms, want[k].Terms) {
				t.Errorf("%d threads, step %d: %v, want %v", threads, k, got[k].Terms, want[k].Terms)
			}
		}
		if d != final {
			t.Errorf("%d threads: other weights", threads)
		}
	}
}

// TestAheadOfNothing: where updates change next to nothing, no bit of what is computed, it makes no difference when rounds
// are sampled.
func TestAheadOfNothing(t *testing.T) {
	var want []train.Result
	for i := range 2 {
		s := newSetup(t, "grpo", 4, func(s *setup) { s.rollout.Ahead = i; s.train.LR.Peak = 1e-30 })
		j := s.begin(t, newModel(t, s.arch), newBank(s.rollout))
		got := j.run(t)
		if i == 0 {
			want = got
			continue
		}
		for k := range got {
			delete(got[k].Terms, policy.WeightTerm)
			delete(got[k].Terms, policy.DroppedTerm)
			if !maps.Equal(got[k].Terms, want[k].Terms) || got[k].GradNorm != want[k].GradNorm {
				t.Errorf("step %d: %v and norm %v, want %v and %v", k, got[k].Terms, got[k].GradNorm, want[k].Terms, want[k].GradNorm)
			}
		}
	}
}

// TestAheadContinues: a stage that is stopped at any step, gracefully while a round is
// being sampled, or by a crash after a checkpoint, goes on to the same weights.
func TestAheadContinues(t *testing.T) {
	options := func(s *setup) { ahead(s); s.rollout.Epochs = 2 }
	whole := newSetup(t, "grpo", 8, options)
	j := whole.begin(t, newModel(t, whole.arch), newBank(whole.rollout))
	j.run(t)
	want := weights(t, j.model)

	for stop := int64(1); stop < 8; stop++ {
		for _, way := range []string{"settled", "cut off", "lost"} {
			s := newSetup(t, "grpo", 8, options)
			b := newBank(s.rollout)
			at := s.rollout.RoundOf(stop-1) + 1 // sampled while the last step before the stop is taken
			b.before = func(ctx context.Context, number int64) error {
				if way == "settled" || number != at || at == 1 && stop == 0 {
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			}
			first := s.begin(t, newModel(t, s.arch), b)
			for range stop {
				if _, err := first.step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			if way != "settled" {
				cancel()
			}
			if way != "lost" {
				if err := first.stage.Settle(ctx); err != nil {
					t.Fatalf("stopped at %d, %s: %v", stop, way, err)
				}
			}
			cancel()
			first.stage.Close()
			b.before = nil

			second := s.begin(t, newModel(t, s.arch), b)
			resume(t, first, second, stop)
			_, err := second.step(t.Context())
			if way == "lost" && at < 4 {
				if err == nil || !strings.Contains(err.Error(), "continue from a checkpoint at step") {
					t.Errorf("stopped at %d, nothing kept: %v", stop, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("stopped at %d, %s: %v", stop, way, err)
			}
			second.run(t)
			if weights(t, second.model) != want {
				t.Errorf("stopped at %d, %s: other weights", stop, way)
			}
		}
	}
}

// TestAheadIdles: sampling that is stopped between steps goes on where it is needed;
// after a jump to other steps it begins anew.
func TestAheadIdles(t *testing.T) {
	options := func(s *setup) { ahead(s); s.rollout.Epochs = 2 }
	var want digest.Digest
	for i := range 3 {
		s := newSetup(t, "grpo", 6, options)
		j := s.begin(t, newModel(t, s.arch), newBank(s.rollout))
		start, jumped := map[string][]float32{}, false
		for _, p := range j.model.Params() {
			start[p.Name] = append([]float32(nil), p.Data...)
		}
		for !j.trainer.Done() {
			if _, err := j.step(t.Context()); err != nil {
				t.Fatal(err)
			}
			switch taken, _ := j.trainer.Steps(); {
			case i == 1:
				j.stage.Idle()
			case i == 2 && taken == 5 && !jumped: // back to the beginning
				jumped = true
				for _, p := range j.model.Params() {
					copy(p.Data, start[p.Name])
				}
				for _, slot := range j.trainer.Optimizer().Slots() {
					clear(slot.Data)
				}
				if err := j.trainer.Resume(0, 0, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := weights(t, j.model); i == 0 {
			want = got
		} else if got != want {
			t.Errorf("way %d: other weights", i)
		}
	}
}

// resume gives a job at step 0 the state of another.
func resume(t testing.TB, from, to *job, step int64) {
	t.Helper()
	for i, p := range from.model.Params() {
		copy(to.model.Params()[i].Data, p.Data)
	}
	for i, slot := range from.trainer.Optimizer().Slots() {
		copy(to.trainer.Optimizer().Slots()[i].Data, slot.Data)
	}
	if err := to.trainer.Resume(step, 0, step); err != nil {
		t.Fatal(err)
	}
}

// TestAheadKeeps: where the disk fails while weights are kept, that is said, and
// the next attempt is whole.
func TestAheadKeeps(t *testing.T) {
	failed := 0
	for at := 1; ; at += 1 + at/3 { // many are writes of one file
		s := newSetup(t, "grpo", 3, ahead)
		disk := &durabletest.Faulty{FS: durable.OS, FailAt: at, Lost: at%2 == 0}
		s.fs = disk
		b := newBank(s.rollout)
		b.before = func(ctx context.Context, number int64) error {
			if number == 2 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		first := s.begin(t, newModel(t, s.arch), b)
		for range 2 {
			if _, err := first.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := first.stage.Settle(ctx)
		if err == nil && disk.Calls() < at {
			break // nothing is left to fail
		}
		if err != nil {
			failed++
			if !errors.Is(err, durabletest.ErrInjected) {
				t.Fatalf("call %d: %v", at, err)
			}
			if err := first.stage.Settle(ctx); err != nil {
				t.Fatalf("after call %d failed: %v", at, err)
			}
		}
		first.stage.Close()
		b.before = nil
		second := s.begin(t, newModel(t, s.arch), b)
		resume(t, first, second, 2)
		second.run(t)
	}
	if failed < 4 {
		t.Errorf("only %d calls failed", failed)
	}
}

// TestAheadFails: an error of the sampling goroutine is the stage's.
func TestAheadFails(t *testing.T) {
	s := newSetup(t, "grpo", 4, ahead)
	b := newBank(s.rollout)
	full := errors.New("no space left")
	b.before = func(_ context.Context, number int64) error {
		if number == 2 {
			return full
		}
		return nil
	}
	j := s.begin(t, newModel(t, s.arch), b)
	for range 2 {
		if _, err := j.step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.stage.Settle(t.Context()); !errors.Is(err, full) {
		t.Errorf("settled: %v", err)
	}
	if _, err := j.step(t.Context()); !errors.Is(err, full) || !strings.Contains(err.Error(), "round 2, sampled ahead") {
		t.Errorf("step 2: %v", err)
	}
}
