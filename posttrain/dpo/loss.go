package dpo

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/portable"
)

// Loss is a member of the family with its constants.
type Loss struct {
	// Kind is one of [Kinds].
	Kind string `yaml:"kind" json:"kind"`
	// Beta is β: how strongly the policy is held to the reference.
	Beta float64 `yaml:"beta" json:"beta"`
	// Smoothing is ε of cdpo and robust: the share of pairs labelled wrongly.
	Smoothing float64 `yaml:"smoothing,omitempty" json:"smoothing,omitempty"`
	// Margin is γ of simpo, in units of its argument of σ.
	Margin float64 `yaml:"margin,omitempty" json:"margin,omitempty"`
	// Desirable and Undesirable are λ_D and λ_U of kto.
	Desirable   float64 `yaml:"desirable,omitempty" json:"desirable,omitempty"`
	Undesirable float64 `yaml:"undesirable,omitempty" json:"undesirable,omitempty"`
	// SFT weighs the SFT term; 0 leaves it out.
	SFT float64 `yaml:"sft,omitempty" json:"sft,omitempty"`
	// ReferenceFree takes log π_ref as 0.
	ReferenceFree bool `yaml:"reference_free,omitempty" json:"reference_free,omitempty"`
}

// Kinds are the names of the losses.
func Kinds() []string {
	return []string{"apo-zero", "cdpo", "hinge", "ipo", "kto", "norm", "robust", "sigmoid", "simpo"}
}

// Check returns the first constant out of range; its errors begin with the field's name.
func (l *Loss) Check() error {
	smooth := l.Kind == "cdpo" || l.Kind == "robust"
	switch {
	case !slices.Contains(Kinds(), l.Kind):
		return fmt.Errorf("kind: %q is unknown, want one of %s", l.Kind, strings.Join(Kinds(), ", "))
	case !(l.Beta > 0 && l.Beta < 1e6):
		return fmt.Errorf("beta: %v, want above 0 (0.1 is usual; 2 for simpo)", l.Beta)
	case smooth && !(l.Smoothing >= 0 && l.Smoothing < 0.5):
		return fmt.Errorf("smoothing: %v, want 0 to below 0.5", l.Smoothing)
	case !smooth && l.Smoothing != 0:
		return fmt.Errorf("smoothing: %v, only cdpo and robust have it", l.Smoothing)
	case l.Kind == "simpo" && !(l.Margin >= 0 && l.Margin < 1e6):
		return fmt.Errorf("margin: %v, want at least 0", l.Margin)
	case l.Kind != "simpo" && l.Margin != 0:
		return fmt.Errorf("margin: %v, only simpo has it", l.Margin)
	case l.Kind == "kto" && !(l.Desirable > 0 && l.Undesirable > 0 && l.Desirable < 1e6 && l.Undesirable < 1e6):
		return fmt.Errorf("desirable: %v, undesirable: %v, want both above 0", l.Desirable, l.Undesirable)
	case l.Kind != "kto" && (l.Desirable != 0 || l.Undesirable != 0):
		return fmt.Errorf("desirable: %v, undesirable: %v, only kto has them", l.Desirable, l.Undesirable)
	case !(l.SFT >= 0 && l.SFT < 1e6):
		return fmt.Errorf("sft: %v, want at least 0", l.SFT)
	case l.ReferenceFree && l.Kind == "simpo":
		return fmt.Errorf("reference_free: simpo has no reference in any case, leave it out")
	}
	return nil
}

// NeedsReference reports whether log-probabilities of the reference are used.
func (l *Loss) NeedsReference() bool { return l.Kind != "simpo" && !l.ReferenceFree }

// ByToken reports whether answers are compared by their mean log-ratio of a token,
// not by the sum of all.
func (l *Loss) ByToken() bool { return l.Kind == "ipo" || l.Kind == "norm" || l.Kind == "simpo" }

// Answer is an answer's log-probability, summed over its tokens.
type Answer struct {
	Policy, Reference float64
	// Tokens are those summed over, at least one.
	Tokens int64
}

// s is the answer's log-ratio.
func (l *Loss) s(a Answer) float64 {
	if l.NeedsReference() {
		return a.Policy - a.Reference
	}
	return a.Policy
}

// Pair is the loss of one pair.
type Pair struct {
	// Loss is the preference loss, SFT the unweighted SFT term, 0 without weight.
	Loss, SFT float64
	// Chosen and Rejected are the gradients of Loss + SFT weight × SFT by the
	// summed log-probability of the policy: every token of the answer has it.
	Chosen, Rejected float64
	// RewardChosen and RewardRejected are β s, the implicit rewards.
	RewardChosen, RewardRejected float64
}

// Pair returns the loss of a pair; kto has none, see [Loss.Single].
func (l *Loss) Pair(chosen, rejected Answer) Pair {
	w, r := l.s(chosen), l.s(rejected)
	p := Pair{RewardChosen: float64(l.Beta * w), RewardRejected: float64(l.Beta * r)}
	nw, nr := 1/float64(chosen.Tokens), 1/float64(rejected.Tokens)
	switch l.Kind {
	case "apo-zero":
		p.apoZero(l.Beta)
	case "ipo":
		d := float64(w*nw) - float64(r*nr) - 1/(2*l.Beta)
		p.Loss, p.Chosen, p.Rejected = float64(d*d), float64(2*d*nw), -float64(2*d*nr)
	case "norm", "simpo":
		g := p.ofMargin(l, float64(l.Beta*(float64(w*nw)-float64(r*nr)))-l.Margin)
		p.Chosen, p.Rejected = float64(g*nw), -float64(g*nr)
	default:
		g := p.ofMargin(l, float64(l.Beta*(w-r)))
		p.Chosen, p.Rejected = g, -g
	}
	if l.SFT > 0 {
		p.SFT = -float64(chosen.Policy * nw)
		p.Chosen -= float64(l.SFT * nw)
	}
	return p
}

// ofMargin sets the loss of kinds that are a function of one margin x = β·…, and
// returns its derivative by what β multiplies.
func (p *Pair) ofMargin(l *Loss, x float64) float64 {
	up, down := portable.Sigmoid(-x), portable.Sigmoid(x) // -d log σ(x)/dx, d(-log σ(-x))/dx
	good, bad := portable.Softplus(-x), portable.Softplus(x)
	e := l.Smoothing
	switch l.Kind {
	case "hinge":
		if x >= 1 {
			return 0
		}
		p.Loss = 1 - x
		return -l.Beta
	case "cdpo":
		p.Loss = float64((1-e)*good) + float64(e*bad)
		return float64(l.Beta * (float64(e*down) - float64((1-e)*up)))
	case "robust":
		p.Loss = (float64((1-e)*good) - float64(e*bad)) / (1 - float64(2*e))
		return float64(l.Beta*(-float64((1-e)*up)-float64(e*down))) / (1 - float64(2*e))
	}
	p.Loss = good
	return -float64(l.Beta * up)
}

// apoZero raises the preferred answer and lowers the other, each by itself.
func (p *Pair) apoZero(beta float64) {
	w, r := portable.Sigmoid(p.RewardChosen), portable.Sigmoid(p.RewardRejected)
	p.Loss = portable.Sigmoid(-p.RewardChosen) + r
	p.Chosen = -float64(beta * float64(w*portable.Sigmoid(-p.RewardChosen)))
	p.Rejected = float64(beta * float64(r*portable.Sigmoid(-p.RewardRejected)))
}

// Single is the loss of one answer that is desirable or not.
type Single struct {
	Loss, SFT float64
	// Answer is the gradient by the summed log-probability of the policy.
	Answer float64
	Reward float64
}

// Single returns kto's loss of one answer. z is the step's estimate of the
// divergence from the reference ([Divergence]); no gradient passes it.
func (l *Loss) Single(a Answer, desirable bool, z float64) Single {
	s := l.s(a)
	o := Single{Reward: float64(l.Beta * s)}
	sign, weight := 1.0, l.Desirable
	if !desirable {
		sign, weight = -1, l.Undesirable
	}
	x := float64(sign * float64(l.Beta*(s-z)))
	up, down := portable.Sigmoid(x), portable.Sigmoid(-x)
	o.Loss = float64(weight * down)
	o.Answer = -float64(float64(sign*l.Beta) * float64(weight*float64(up*down)))
	if l.SFT > 0 && desirable {
		n := 1 / float64(a.Tokens)
		o.SFT = -float64(a.Policy * n)
		o.Answer -= float64(l.SFT * n)
	}
	return o
}

// Divergence is kto's z: the mean log-ratio of mismatched answers, at least 0.
// The ratios are added in the order given, that of the step.
func Divergence(ratios []float64) float64 {
	if len(ratios) == 0 {
		return 0
	}
	sum := 0.0
	for _, r := range ratios {
		sum += r
	}
	return max(0, sum/float64(len(ratios)))
}
