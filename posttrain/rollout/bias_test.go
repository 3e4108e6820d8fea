package rollout

import (
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/posttrain/reward"
)

// TestRestartingIsBiased: sampling an interrupted answer again from its start, with
// other random numbers, makes answers short; the log's way leaves their lengths alone
// (TestInterruptedRoundIsTheSame). With the probability of an interruption h at each
// token, lengths are weighted by (1-h)^n.
func TestRestartingIsBiased(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Rewards = []reward.Spec{}
	o.Config.Prompts, o.Config.Group, o.Config.Sequences = 13, 24, 64
	o.Config.MaxTokens = 60
	const h = 1.0 / 15
	r := whole(t, o, m, 0, 0)
	n, mean, weighted, weights := 0.0, 0.0, 0.0, 0.0
	for i := range r.Answers {
		length := float64(len(r.Answers[i].Tokens))
		n, mean = n+1, mean+length
		w := 1.0
		for range r.Answers[i].Tokens {
			w *= 1 - h
		}
		weighted, weights = weighted+w*length, weights+w
	}
	mean, weighted = mean/n, weighted/weights

	// The policy's answers to these questions, each attempt another one, until one
	// comes through.
	o.Config.Group = 240
	attempts := whole(t, o, m, 1, 0)
	chance, draw := detrand.Key(1, "interruptions"), uint64(0)
	restarted, finished := 0.0, 0.0
	for i := range attempts.Answers {
		through := true
		for range attempts.Answers[i].Tokens {
			draw++
			through = through && chance.Float64At(draw) >= h
		}
		if through {
			restarted, finished = restarted+float64(len(attempts.Answers[i].Tokens)), finished+1
		}
	}
	restarted /= finished
	t.Logf("mean length %.1f; of restarted answers %.1f, and %.1f by the formula", mean, restarted, weighted)
	if restarted > 0.8*mean || restarted < 0.7*weighted || restarted > 1.3*weighted {
		t.Errorf("mean length %.2f, restarted %.2f, by the formula %.2f", mean, restarted, weighted)
	}
}
