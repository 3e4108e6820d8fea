package train

import (
	"fmt"

	"github.com/temper-ml/temper/train/optim"
)

// Config fully decides how the steps of one stage are taken. Everything but
// MicroRows and Recompute decides results; those two decide memory and time.
type Config struct {
	// Steps is the length of the stage in optimizer steps.
	Steps int64 `yaml:"steps" json:"steps"`
	// Slots is the number of gradient slots of a step, a power of two, at most
	// its number of rows. It bounds how many ranks can share a step.
	Slots int `yaml:"gradient_slots" json:"gradient_slots"`
	// MicroRows is how many rows go through the model at once.
	MicroRows int `yaml:"micro_rows" json:"micro_rows"`
	// Recompute is "none", "selective" or "full": which activations are
	// recomputed in the backward pass instead of kept.
	Recompute string `yaml:"recompute" json:"recompute"`
	// Optimizer and LR decide the update.
	Optimizer optim.Config     `yaml:"optimizer" json:"optimizer"`
	LR        optim.LRSchedule `yaml:"lr" json:"lr"`
	// Loss weighs the parts of the objective.
	Loss Loss `yaml:"loss" json:"loss"`
	// Router is the policy for the routers.
	Router Router `yaml:"router" json:"router"`
	// NonFinite is "stop" or "skip": what to do about a step whose loss or
	// gradient is not finite.
	NonFinite string `yaml:"non_finite" json:"non_finite"`
}

// Loss weighs the parts of the objective beside the language-model loss, whose
// weight is 1. Each part is a mean over the step: MTP over its labels, Balance
// over sequences, Indexer over tokens.
type Loss struct {
	MTP     float64 `yaml:"mtp" json:"mtp"`
	Balance float64 `yaml:"balance" json:"balance"`
	Indexer float64 `yaml:"indexer" json:"indexer"`
}

// Router says what happens to the routers of Mixture-of-Experts layers. Peers
// differ silently here, so both fields must be chosen by the recipe.
type Router struct {
	// Train says whether the router's gate weights receive gradients.
	Train bool `yaml:"train" json:"train"`
	// BiasRate is u of b ← b + u·sign(mean load - load) after each step; 0
	// freezes the balance bias. It stays as it is, too, after a step in which some
	// row's routes are given: the load is then not of its making.
	BiasRate float64 `yaml:"bias_rate" json:"bias_rate"`
}

// Check returns the first field that is out of range for steps of rows rows.
func (c *Config) Check(rows int) error {
	switch {
	case c.Steps < 1:
		return fmt.Errorf("steps: %d must be at least 1", c.Steps)
	case c.Slots < 1 || c.Slots&(c.Slots-1) != 0 || c.Slots > rows:
		return fmt.Errorf("gradient_slots: %d must be a power of two of at most the step's %d rows: nearest is %d", c.Slots, rows, nearestSlots(c.Slots, rows))
	case c.MicroRows < 1 || c.MicroRows > rows:
		return fmt.Errorf("micro_rows: %d must lie between 1 and the step's %d rows", c.MicroRows, rows)
	case c.Recompute != "none" && c.Recompute != "selective" && c.Recompute != "full":
		return fmt.Errorf("recompute: %q is not known: use none, selective or full", c.Recompute)
	case c.NonFinite != "stop" && c.NonFinite != "skip":
		return fmt.Errorf("non_finite: %q is not known: use stop or skip", c.NonFinite)
	case !(c.Loss.MTP >= 0) || c.Loss.MTP > 100:
		return fmt.Errorf("loss.mtp: %v is outside [0, 100]", c.Loss.MTP)
	case !(c.Loss.Balance >= 0) || c.Loss.Balance > 100:
		return fmt.Errorf("loss.balance: %v is outside [0, 100]", c.Loss.Balance)
	case !(c.Loss.Indexer >= 0) || c.Loss.Indexer > 100:
		return fmt.Errorf("loss.indexer: %v is outside [0, 100]", c.Loss.Indexer)
	case !(c.Router.BiasRate >= 0) || c.Router.BiasRate > 1:
		return fmt.Errorf("router.bias_rate: %v is outside [0, 1]: V4 was pre-trained with 0.001", c.Router.BiasRate)
	}
	if err := c.Optimizer.Check(); err != nil {
		return err
	}
	return c.LR.Check(c.Steps)
}

// nearestSlots is the power of two in [1, rows] nearest to n from below, or 1.
func nearestSlots(n, rows int) int {
	s := 1
	for s*2 <= min(n, rows) {
		s *= 2
	}
	return s
}
