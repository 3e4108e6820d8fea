package policy

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// DefaultVariant is the variant of a recipe that names none.
const DefaultVariant = "dapo"

// Default returns what a recipe's section is laid over: the constants of a variant,
// and what follows from the way in which its rounds are sampled. An empty name is
// [DefaultVariant].
//
// Rounds that are sampled ahead are one round older than the policy that learns them:
// then π_old is the policy at the start of the round, so that clipping bounds what the
// round itself changes, and the answers' age is corrected by weights of at most 2.
func Default(variant string, r *rollout.Config) (grpo.Config, error) {
	if variant == "" {
		variant = DefaultVariant
	}
	c, err := grpo.Variant(variant)
	if err != nil {
		return c, err
	}
	c.Old = "sampled"
	c.OnPolicy = r.OnPolicy()
	if r.Ahead > 0 {
		c.Old = "computed"
		c.Correction = grpo.Correction{Kind: "token", High: 2}
	}
	if c.Aggregate == "constant" {
		c.MaxTokens = int64(r.MaxTokens)
	}
	return c, nil
}

// Check returns the first field of a section that is out of range, or that rounds
// sampled in this way contradict. Its errors begin with the field's name.
func Check(c *grpo.Config, r *rollout.Config) error {
	if err := c.Check(); err != nil {
		return err
	}
	switch {
	case c.OnPolicy && r.Ahead > 0:
		return errors.New("on_policy: rounds that are sampled ahead (rollout.ahead: 1) are never on-policy")
	case c.OnPolicy && !r.Plain():
		return fmt.Errorf("on_policy: answers drawn at temperature %v, top_p %v, top_k %d are not of the policy's own distribution: want 1, 1 and 0", r.Temperature, r.TopP, r.TopK)
	case c.Old == "computed" && r.Ahead == 0:
		return errors.New("old: computed would be the same bits as sampled, since the weights are the same: it is for rollout.ahead: 1")
	case c.Aggregate == "constant" && c.MaxTokens < int64(r.MaxTokens):
		return fmt.Errorf("max_tokens: %d, less than the %d of an answer", c.MaxTokens, r.MaxTokens)
	case r.Waves > 1 && !c.Dynamic:
		return fmt.Errorf("dynamic: off, but up to %d waves ask for groups with unequal rewards (rollout.waves)", r.Waves)
	}
	return nil
}
