package render

import (
	"math"
	"slices"

	"github.com/temper-ml/temper/internal/figure"
)

// training are the curves: losses and rewards, gradient norm, learning rate,
// expert overload.
func (v *view) training() []part {
	out := []part{v.losses()}
	for _, of := range []func() (part, bool){v.rewards, v.auxiliary} {
		if p, ok := of(); ok {
			out = append(out, p)
		}
	}
	out = append(out, v.objectives()...)
	norm := func(s *Step) float64 { return s.GradNorm }
	return append(
		out,
		v.draw(chart{title: "Gradient norm", note: "before clipping", axis: "norm", again: norm, lines: v.each("norm", func(_ *Run, s *Step) float64 { return s.GradNorm })}),
		v.draw(chart{title: "Learning rate", axis: "learning rate", from0: true, lines: v.each("learning rate", func(_ *Run, s *Step) float64 { return s.LR })}),
		v.draw(chart{
			title: "Expert overload", note: "tokens of the busiest expert over the mean, less 1", axis: "overload",
			lines: v.each("overload", func(_ *Run, s *Step) float64 { return s.MaxViolation }),
		}),
	)
}

// isMain says that a loss is the one that is minimised, or of next tokens beside it.
func isMain(name string) bool {
	return name == "lm" || name == "mtp" || slices.Contains(objectives, name)
}

// isAuxiliary says that a loss is of the model's parts, not of what a stage is for.
func isAuxiliary(name string) bool { return name == "balance" || name == "indexer" }

// losses are what each stage of one run minimises, and next tokens beside it, with
// what was held out; of several runs the first each. A run that names its losses
// otherwise shows all.
func (v *view) losses() part {
	c := chart{title: "Loss", note: "what each stage minimises: nats per token, or its objective", axis: "loss", again: (*Step).Loss}
	for k, r := range v.runs {
		if !v.alone() {
			c.lines = append(c.lines, chartLine{name: v.names[k], run: k, values: func(i int) float64 { return r.Steps[i].Loss() }})
			continue
		}
		names := lossNames(r)
		if slices.ContainsFunc(names, isMain) {
			names = slices.DeleteFunc(names, func(name string) bool { return !isMain(name) })
		}
		for _, name := range names[:min(len(names), 6)] {
			c.lines = append(c.lines, chartLine{name: name, run: k, values: func(i int) float64 { return r.Steps[i].main(name) }})
		}
		c.lines = append(c.lines, chartLine{name: "held out", run: k, at: r.measured("held_out_loss")})
	}
	return v.draw(c)
}

// main is a main loss of the step. The language model's says little where something
// else is minimised: of rejected answers it shall rise.
func (s *Step) main(name string) float64 {
	if name == "lm" && !math.IsNaN(s.objective()) {
		return math.NaN()
	}
	return find(s.Losses, name)
}

// auxiliary are the losses of the model's parts, of a run that is shown alone.
func (v *view) auxiliary() (part, bool) {
	r := v.runs[0]
	names := lossNames(r)
	others := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !isAuxiliary(name) })
	if !v.alone() || len(others) == 0 || len(others) == len(names) {
		return part{}, false
	}
	c := chart{title: "Auxiliary losses", note: "before their weights", axis: "loss"}
	for _, name := range others {
		c.lines = append(c.lines, chartLine{name: name, values: func(i int) float64 { return find(r.Steps[i].Losses, name) }})
	}
	return v.draw(c), true
}

// objectives are the terms of each stage's objective, of a run that is shown alone.
// Rewards of rounds have a chart of their own.
func (v *view) objectives() []part {
	if !v.alone() {
		return nil
	}
	r := v.runs[0]
	var out []part
	for stage := range r.Stages {
		names := r.terms(stage)
		if len(names) == 0 {
			continue
		}
		c := chart{title: "Objective of " + r.stageName(stage), note: "terms, of each step", axis: "value"}
		for _, name := range names[:min(len(names), 6)] {
			c.lines = append(c.lines, chartLine{name: name, values: func(i int) float64 {
				if r.Steps[i].Stage != stage {
					return math.NaN()
				}
				return find(r.Steps[i].Losses, name)
			}})
		}
		out = append(out, v.draw(c))
	}
	return out
}

// terms names what the steps of a stage report beside losses that others have too.
func (r *Run) terms(stage int) []string {
	var out []string
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Stage != stage || math.IsNaN(s.objective()) {
			continue
		}
		for _, l := range s.Losses {
			if !isMain(l.Name) && !isAuxiliary(l.Name) && l.Name != "reward" && !slices.Contains(out, l.Name) {
				out = append(out, l.Name)
			}
		}
		if len(out) >= mostNames {
			break
		}
	}
	return out
}

// measured are the values of an evaluation by the number of steps taken.
func (r *Run) measured(name string) []figure.Point {
	var out []figure.Point
	for i := range r.Events {
		e := &r.Events[i]
		if x, ok := e.value(name); ok && e.Kind == Evaluation {
			out = append(out, figure.Point{X: float64(e.After), Y: x})
		}
	}
	return out
}

// rewards are the mean rewards of rollouts, where a run has any.
func (v *view) rewards() (part, bool) {
	c := chart{title: "Reward", note: "mean of the rollouts of a step", axis: "reward"}
	any := false
	for k, r := range v.runs {
		var points []figure.Point
		for i := range r.Events {
			e := &r.Events[i]
			if x, ok := e.value("reward"); ok && e.Kind == Rollout {
				if n := len(points); n > 0 && points[n-1].X == float64(e.After) {
					points = points[:n-1] // generated again
				}
				points = append(points, figure.Point{X: float64(e.After), Y: x})
			}
		}
		any = any || len(points) > 0
		name := "reward"
		if !v.alone() {
			name = v.names[k]
		}
		c.lines = append(c.lines, chartLine{name: name, run: k, at: points})
	}
	return v.draw(c), any
}

// lossNames are the losses of a run in order of appearance, "lm" first.
func lossNames(r *Run) []string {
	var out []string
	seen := map[string]bool{}
	for i := range r.Steps {
		for _, l := range r.Steps[i].Losses {
			if !seen[l.Name] && len(out) < mostNames {
				seen[l.Name] = true
				out = append(out, l.Name)
			}
		}
	}
	if i := slices.Index(out, "lm"); i > 0 {
		out[0], out[i] = out[i], out[0]
	}
	return out
}

func find(values []Value, name string) float64 {
	for _, v := range values {
		if v.Name == name {
			return v.Value
		}
	}
	return math.NaN()
}

func (v *view) speed() []part {
	rate := func(s *Step) float64 { return s.TokensPerSecond() }
	return []part{
		v.draw(chart{
			title: "Throughput", note: "tokens per second of each step", axis: "tokens/s", from0: true, again: rate,
			lines: v.each("tokens/s", func(_ *Run, s *Step) float64 { return s.TokensPerSecond() }),
		}),
		v.draw(chart{title: "Step time", note: "wall time of each step", axis: "seconds", from0: true, lines: v.each("seconds", func(_ *Run, s *Step) float64 {
			if s.Wall <= 0 {
				return math.NaN()
			}
			return s.Wall.Seconds()
		})}),
	}
}

func (v *view) memory() []part {
	return []part{v.draw(chart{title: "Memory", note: "of the rank that needs most, peak so far", axis: "MiB", from0: true, lines: v.each("MiB", func(_ *Run, s *Step) float64 {
		if s.Memory <= 0 {
			return math.NaN()
		}
		return float64(s.Memory) / (1 << 20)
	})})}
}
