package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/train"
)

// TestReplay: the choices made when answers were sampled are made again. On-policy they
// are the same choices, so that no bit changes; when weights have moved they
// are others.
func TestReplay(t *testing.T) {
	for _, ahead := range []int{0, 1} {
		var results [2][]train.Result
		for i := range 2 {
			s := newSetup(t, "grpo", 8, func(s *setup) {
				s.rollout.Ahead, s.rollout.Epochs = ahead, 2
				s.train.LR.Peak = 0.1
			})
			s.loss.OnPolicy = ahead == 0
			s.loss.Replay = i == 1
			b := newBank(s.rollout)
			b.routing = s.loss.Replay
			results[i] = s.begin(t, newModel(t, s.arch), b).run(t)
		}
		same := func(k int) bool {
			return results[0][k].Terms[policy.LossTerm] == results[1][k].Terms[policy.LossTerm] && results[0][k].GradNorm == results[1][k].GradNorm
		}
		if !same(0) {
			t.Errorf("ahead %d: on-policy, replayed choices are others: %v, %v", ahead, results[0][0].Terms, results[1][0].Terms)
		}
		if same(1) && same(3) {
			t.Errorf("ahead %d: choices of weights that have moved are never replayed", ahead)
		}
	}
}

// TestReplayIsComplete: every segment of every row has its routes, and answers without
// are refused.
func TestReplayIsComplete(t *testing.T) {
	s := newSetup(t, "grpo", 2, nil)
	s.loss.Replay = true
	b := newBank(s.rollout)
	b.routing = true
	j := s.begin(t, newModel(t, s.arch), b)
	r, _, err := j.stage.Prepare(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := j.stage.Rows(0)
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, row := range rows {
		if len(row.Routes) != len(row.Segments) {
			t.Fatalf("%d routes of %d segments", len(row.Routes), len(row.Segments))
		}
		for _, x := range row.Routes {
			got = append(got, x)
		}
	}
	for i := range r.Answers {
		if !slices.Contains(got, any(r.Answers[i].Routes)) {
			t.Errorf("the routes of answer %d are nowhere", i)
		}
	}
	b = newBank(s.rollout)
	j = s.begin(t, newModel(t, s.arch), b)
	if _, err := j.step(t.Context()); err == nil || !strings.Contains(err.Error(), "no routes to replay") {
		t.Errorf("answers without routes: %v", err)
	}
}
