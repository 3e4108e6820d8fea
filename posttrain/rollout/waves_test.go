package rollout

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/posttrain/grpo"
)

// TestWaves: which questions are asked, and which groups are learnt, is what the rule
// says of the verdicts, and has nothing to do with who finishes first.
func TestWaves(t *testing.T) {
	m, o := smallModel(t), dynamic(t)
	some := map[Drop]bool{}
	for first := range int64(6) {
		checkWaves(t, m, o, first, some)
	}
	if len(some) != 3 {
		t.Errorf("only %v happened", some)
	}
}

// checkWaves compares with what the rule says, going by answers sampled in one wave.
func checkWaves(t *testing.T, m *deepseek.Model, o Options, first int64, some map[Drop]bool) {
	t.Helper()
	// All that could be asked, in one wave.
	wide := o
	wide.Dynamic, wide.Config.Prompts = false, o.Config.Prompts*o.Config.Waves
	all := whole(t, wide, m, 0, first)
	flat := func(cursor int) bool {
		_, rewards := all.Groups[cursor].Judged()
		return grpo.Flat(rewards)
	}
	for prompts := 1; prompts <= o.Config.Prompts; prompts++ {
		for waves := 1; waves <= 4; waves++ {
			asked, good := prompts, 0
			for w := 1; ; w++ {
				good = 0
				for c := range asked {
					if !flat(c) {
						good++
					}
				}
				if good >= prompts || w == waves {
					break
				}
				more := prompts
				if good > 0 {
					more = min(prompts, ((prompts-good)*asked+good-1)/good)
				}
				asked += more
			}
			o := o
			o.Config.Prompts, o.Config.Waves, o.Config.Sequences = prompts, waves, 1+(prompts+3*waves)%7
			r := whole(t, o, m, 0, first)
			if r.Used != int64(asked) || len(r.Groups) != asked {
				t.Fatalf("%d prompts, %d waves: %d questions asked, want %d", prompts, waves, r.Used, asked)
			}
			kept := 0
			for i := range r.Groups {
				g, want := &r.Groups[i], Drop("")
				switch {
				case flat(i):
					want = Flat
				case kept == prompts:
					want = Surplus
				default:
					kept++
				}
				if some[want] = true; g.Dropped != want {
					t.Errorf("%d prompts, %d waves: group %d is %q, want %q", prompts, waves, i, g.Dropped, want)
				}
				if !slices.Equal(g.Answers[0].Tokens, all.Groups[i].Answers[0].Tokens) {
					t.Errorf("%d prompts, %d waves: group %d has other answers than in one wave", prompts, waves, i)
				}
			}
			s := r.Sums()
			if s.Questions != r.Used || s.Flat+s.Surplus+int64(kept) != r.Used || s.Answers != 3*r.Used {
				t.Errorf("%+v", s)
			}
		}
	}
}

// TestInterruptedWaves: nor does an interruption change the course of waves.
func TestInterruptedWaves(t *testing.T) {
	m, base := smallModel(t), dynamic(t)
	base.Config.Prompts, base.Config.MaxTokens = 3, 24
	want := whole(t, base, m, 0, 0)
	if want.Used <= int64(base.Config.Prompts) {
		t.Fatalf("one wave was enough: %d questions", want.Used)
	}
	rapid.Check(t, func(rt *rapid.T) {
		o := base
		o.Dir = t.TempDir()
		o.Judging = rapid.IntRange(1, 5).Draw(rt, "judging")
		for stop := true; stop; {
			after := rapid.IntRange(0, 60).Draw(rt, "passes")
			ctx, cancel := context.WithCancel(context.Background())
			o.Tell = func(Progress) {
				if after--; after < 0 {
					cancel()
				}
			}
			s, err := NewSampler(o)
			if err != nil {
				rt.Fatal(err)
			}
			r, err := s.Sample(ctx, m, policyOf, 0, 0)
			cancel()
			if stop = err != nil; !stop {
				same(rt, r, want)
			}
			if err := s.Close(); err != nil {
				rt.Fatal(err)
			}
		}
	})
}
