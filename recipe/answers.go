package recipe

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/grpo"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// usualWaves is how often questions are asked until enough answers differ, where
// groups of equal ones are left out.
const usualWaves = 4

// defaultAnswers fills in the sections of a stage that learns from the model's own
// answers. given is the stage as the file has it, first what was decoded of it with
// the sections' own defaults.
func (s *Stage) defaultAnswers(given map[string]any, first *Stage) {
	if s.Method != "grpo" {
		return
	}
	section := func(name string) map[string]any {
		m, _ := given[name].(map[string]any)
		return m
	}
	c, err := policy.Default(first.GRPO.Variant, first.Rollout)
	if err != nil {
		c.Variant = first.GRPO.Variant // Check says which there are
	}
	if a, ok := section("grpo")["aggregate"]; ok && a != "constant" {
		c.MaxTokens = 0
	}
	dynamic := c.Dynamic
	if d, ok := section("grpo")["dynamic"].(bool); ok {
		dynamic = d
	}
	if dynamic {
		s.Rollout.Waves = usualWaves
	}
	s.GRPO = &c
}

// asks returns the defaults of a method that learns from the model's own answers.
func (s *Stage) asks() {
	c := rollout.Default(s.Method)
	s.Rollout = &c
	s.Data.Rows = 0
	s.Loss.MTP = 0 // an MTP block would learn bad answers too
	s.Router.BiasRate = 0
	s.LR.Name = "constant"
	if s.Method == "grpo" {
		s.GRPO = &grpo.Config{}
		s.LR.Peak = 1e-6 // the policy must stay near the one that answered
	}
}

// checkAnswers checks the sections of stages that learn from the model's own answers.
func (s *Stage) checkAnswers() error {
	if !posttrain.Asks(s.Method) {
		return s.checkNoAnswers()
	}
	c := s.Rollout
	if c == nil {
		return field("rollout", "empty: give prompts and max_tokens, or leave the section out")
	}
	if err := c.Check(s.Method, s.Data.Sequence); err != nil {
		return under("rollout", asField(err))
	}
	if s.Epochs > 0 {
		return field("epochs", "how many questions a round uses is known once it is answered: give steps, of which %d prompts take %d", c.Prompts, c.Steps())
	}
	if n := c.Steps(); s.Steps%n != 0 {
		return field("steps", "%d is not a multiple of the %d steps of a round (rollout.updates × rollout.epochs): nearest is %d", s.Steps, n, nearestMultiple(s.Steps, n))
	}
	if s.Method == "grpo" {
		return s.checkPolicy()
	}
	return nil
}

// taken are names beside which the means of rules over held-out answers stand.
var taken = []string{"reward", "tokens", "truncated", "failed"}

// checkPolicy checks what judges the answers, and what is minimised.
func (s *Stage) checkPolicy() error {
	if _, err := reward.New(s.Rewards); err != nil {
		var program *exec.Error // it need not be on every machine that reads the recipe
		if !errors.As(err, &program) {
			return asField(err)
		}
	}
	for i := range s.Rewards {
		if name := s.Rewards[i].Name; slices.Contains(taken, name) {
			return field(fmt.Sprintf("rewards[%d].name", i), "%q is what held-out answers come to by itself: choose another", name)
		}
	}
	if s.GRPO == nil {
		return field("grpo", "empty: give a variant, or leave the section out for %s", policy.DefaultVariant)
	}
	if _, err := grpo.Variant(s.GRPO.Variant); err != nil {
		return under("grpo", asField(err))
	}
	if s.GRPO.OnPolicy && s.Rollout.Ahead > 0 { // before what follows from it by default
		return field("grpo.on_policy", "rounds that are sampled ahead (rollout.ahead: %d) are never on-policy: leave one of the two out", s.Rollout.Ahead)
	}
	if err := policy.Check(s.GRPO, s.Rollout); err != nil {
		return under("grpo", asField(err))
	}
	return nil
}

// checkNoAnswers refuses sections that the stage's method has no use for.
func (s *Stage) checkNoAnswers() error {
	for _, f := range []struct {
		name  string
		given bool
	}{{"rollout", s.Rollout != nil}, {"rewards", s.Rewards != nil}, {"grpo", s.GRPO != nil}} {
		if f.given {
			return field(f.name, "method %s asks the model nothing: use method grpo, or leave the section out", s.Method)
		}
	}
	return nil
}

// StageRewards returns the rules of stage i with the paths of programs resolved.
func (r *Recipe) StageRewards(i int) ([]reward.Spec, error) {
	specs := append([]reward.Spec(nil), r.Stages[i].Rewards...)
	for k := range specs {
		if specs[k].Command == nil {
			continue
		}
		c := *specs[k].Command
		c.Args = append([]string(nil), c.Args...)
		for a, arg := range c.Args {
			if !isPath(arg) {
				continue
			}
			path, err := r.Path(arg)
			if err != nil {
				return nil, fmt.Errorf("rewards[%d].command.args[%d]: %w", k, a, err)
			}
			c.Args[a] = path
		}
		specs[k].Command = &c
	}
	return specs, nil
}

// isPath tells arguments of a command that are files of the recipe from others: they
// begin with ./, ../ or ${NAME}/.
func isPath(arg string) bool {
	return strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../") || variable.MatchString(arg) && strings.HasPrefix(arg, "${")
}

// Programs are the files that the stage's rules run or read, as the recipe names them.
func (s *Stage) Programs() []string {
	var files []string
	for _, spec := range s.Rewards {
		if spec.Command == nil {
			continue
		}
		for _, arg := range spec.Command.Args {
			if isPath(arg) {
				files = append(files, arg)
			}
		}
	}
	return files
}

// Commands reports whether judging answers runs programs.
func (s *Stage) Commands() bool {
	for _, spec := range s.Rewards {
		if spec.Command != nil {
			return true
		}
	}
	return false
}
