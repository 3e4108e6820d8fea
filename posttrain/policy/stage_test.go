package policy_test

import (
	"testing"

	"github.com/temper-ml/temper/posttrain/policy"
)

// TestLearns: rewards rise, and every ratio of every step is exactly 1.
func TestLearns(t *testing.T) {
	for _, variant := range []string{"dapo", "grpo", "dr-grpo", "gspo", "cispo"} {
		t.Run(variant, func(t *testing.T) {
			s := newSetup(t, variant, 40, nil)
			b := newBank(s.rollout)
			b.dynamic = s.loss.Dynamic
			s.loss.MaskTruncated = false // answers of this task seldom end
			j := s.begin(t, newModel(t, s.arch), b)
			var first, last float64
			for i, r := range j.run(t) {
				if r.Terms[policy.RatioTerm] != 1 || r.Terms[policy.LargestTerm] != 0 || r.Terms[policy.ClippedTerm] != 0 {
					t.Fatalf("step %d is on-policy and has %v", i, r.Terms)
				}
				switch {
				case i < 5:
					first += r.Terms[policy.RewardTerm] / 5
				case i >= 35:
					last += r.Terms[policy.RewardTerm] / 5
				}
			}
			t.Logf("reward %.3f -> %.3f", first, last)
			if last < first+0.3 {
				t.Errorf("mean reward went from %.3f to %.3f", first, last)
			}
		})
	}
}
