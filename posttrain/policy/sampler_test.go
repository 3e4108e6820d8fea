package policy_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// questions are rows of a file, bytes as tokens.
func questions(t testing.TB, room int) *rollout.Questions {
	t.Helper()
	var text strings.Builder
	for i := range 11 {
		fmt.Fprintf(&text, "{\"prompt\": \"%c\"}\n", 'a'+i)
	}
	path := filepath.Join(t.TempDir(), "questions.jsonl")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	enc, err := chat.Lookup("plain")
	if err != nil {
		t.Fatal(err)
	}
	tok := data.NewBytes(enc)
	d := posttrain.Data{Files: []string{path}, Format: "prompt", Encoding: "plain", Sequence: sequence}
	q, _, _, err := rollout.Load(context.Background(), &d, tok, room, 1)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// watched tells what happens to its rounds.
type watched struct {
	*rollout.Sampler
	amend func() error
}

func (w watched) Amend(r *rollout.Round, answers ...int) error {
	if err := w.Sampler.Amend(r, answers...); err != nil {
		return err
	}
	return w.amend()
}

// TestSampler: a stage of real rounds, stopped while it samples, while it reads answers
// with the anchor, or between steps, and continued by what is on disk, comes to
// the weights that it comes to without.
func TestSampler(t *testing.T) {
	const steps = 6
	q := questions(t, 6)
	passes, stopAt := 0, -1 // of the model that samples
	var stop context.CancelFunc
	open := func(dir string) (*setup, *rollout.Sampler) {
		s := newSetup(t, "grpo", steps, func(s *setup) {
			s.arch.VocabSize = 300
			s.rollout.Prompts, s.rollout.Group, s.rollout.Ahead, s.rollout.Updates = 3, 3, 1, 2
		})
		s.dir = dir
		s.loss.KL = grpo.KL{Weight: 0.1, Estimator: "k3+"}
		old, reference := policy.Needs(&s.loss)
		sampler, err := rollout.NewSampler(rollout.Options{
			Config: s.rollout, Questions: q, Old: old, Reference: reference, Seed: 3, Dir: filepath.Join(dir, "rollouts"),
			Rewards: []reward.Spec{{Format: &reward.Format{Pattern: "[a-z0-9 ]", Anywhere: true}}},
			Tell: func(rollout.Progress) {
				if passes++; passes == stopAt {
					stop()
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return s, sampler
	}
	// once runs a stage from a saved state until it is done or stopped, and saves.
	once := func(ctx context.Context, dir string, from *job, step int64) (*job, int64) {
		s, sampler := open(dir)
		rounds := watched{sampler, func() error { return ctx.Err() }}
		j := s.begin(t, newModel(t, s.arch), rounds)
		if from != nil {
			resume(t, from, j, step)
		}
		for !j.trainer.Done() {
			if _, err := j.step(ctx); err != nil {
				if ctx.Err() == nil {
					t.Fatal(err)
				}
				break
			}
		}
		if err := j.stage.Settle(ctx); err != nil {
			t.Fatal(err)
		}
		j.stage.Close()
		if err := sampler.Close(); err != nil {
			t.Fatal(err)
		}
		taken, _ := j.trainer.Steps()
		return j, taken
	}
	whole, taken := once(t.Context(), t.TempDir(), nil, 0)
	want, all := weights(t, whole.model), passes
	if taken != steps || want == weights(t, newModel(t, whole.arch)) {
		t.Fatalf("%d steps taken", taken)
	}
	stops := 0
	for at := 1; at < all; at += max(1, all/12) {
		dir := t.TempDir()
		passes, stopAt = 0, at
		var ctx context.Context
		ctx, stop = context.WithCancel(t.Context())
		j, taken := once(ctx, dir, nil, 0)
		stop()
		if taken < steps {
			stops++
		}
		stopAt = -1
		if j, taken = once(t.Context(), dir, j, taken); taken != steps || weights(t, j.model) != want {
			t.Errorf("stopped after pass %d of %d: %d steps, other weights", at, all, taken)
		}
		if _, err := os.Stat(filepath.Join(dir, "weights")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("stopped after pass %d: weights that nobody needs are still kept (%v)", at, err)
		}
	}
	if stops < 6 {
		t.Errorf("only %d runs were stopped", stops)
	}
}
