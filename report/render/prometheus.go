package render

import (
	"io"
	"math"
	"slices"

	"github.com/temper-ml/temper/internal/promtext"
)

// exposition is what runs add to.
type exposition struct{ *promtext.Text }

// put adds a sample; labels are names and values in turn.
func (x exposition) put(name, kind, help string, value float64, labels ...string) {
	x.Put(name, promtext.Kind(kind), help, value, labels...)
}

// Prometheus writes the last state of runs in Prometheus' text format, version
// 0.0.4. The label run tells runs apart: two of one name are refused.
func Prometheus(w io.Writer, runs ...*Run) error {
	x := exposition{promtext.New()}
	for _, r := range runs {
		x.totals(r)
		x.last(r)
		x.evaluations(r)
	}
	return x.Write(w)
}

// number spells a value as Prometheus and spreadsheets read it.
func number(v float64) string { return promtext.Number(v) }

// totals are what only grows while a run goes on.
func (x exposition) totals(r *Run) {
	b := &r.Before
	tokens, supervised, examples, skipped := b.Tokens, b.Supervised, b.Examples, b.Skipped
	seconds := b.Wall.Seconds()
	parts := map[string]float64{}
	for name, took := range b.Parts {
		parts[name] = took.Seconds()
	}
	for i := range r.Steps {
		s := &r.Steps[i]
		tokens, supervised, examples = tokens+s.Tokens, supervised+s.Supervised, examples+s.Examples
		seconds += s.Wall.Seconds()
		if s.Skipped {
			skipped++
		}
		for _, p := range s.Split {
			parts[p.Name] += p.Took.Seconds()
		}
	}
	ended := 0.0
	kinds := map[string]int64{}
	for k, n := range b.Events {
		kinds[k] = n
	}
	for i := range r.Events {
		kinds[r.Events[i].Kind]++
		if r.Events[i].Kind == End {
			ended = 1
		}
	}
	x.put("temper_run_ended", "gauge", "1 when the run has ended.", ended, "run", r.Name)
	x.put("temper_steps_total", "counter", "Optimizer steps taken.", float64(b.Steps+int64(len(r.Steps))), "run", r.Name)
	x.put("temper_skipped_steps_total", "counter", "Steps that were not finite and changed nothing.", float64(skipped), "run", r.Name)
	if examples > 0 {
		x.put("temper_examples_total", "counter", "Examples trained on.", float64(examples), "run", r.Name)
	}
	x.put("temper_tokens_total", "counter", "Tokens trained on.", float64(tokens), "run", r.Name)
	x.put("temper_supervised_tokens_total", "counter", "Tokens that were learnt.", float64(supervised), "run", r.Name)
	x.put("temper_step_seconds_total", "counter", "Wall time spent in steps.", seconds, "run", r.Name)
	for _, p := range sortedKeys(parts) {
		x.put("temper_step_part_seconds_total", "counter", "Wall time spent in each part of steps.", parts[p], "run", r.Name, "part", p)
	}
	for _, k := range sortedKeys(kinds) {
		x.put("temper_events_total", "counter", "Events of the run by kind.", float64(kinds[k]), "run", r.Name, "kind", k)
	}
}

// last is the state of the last step.
func (x exposition) last(r *Run) {
	if len(r.Steps) == 0 {
		return
	}
	s := &r.Steps[len(r.Steps)-1]
	x.put("temper_stage", "gauge", "Stage of the last step, from 0; its name is a label.", float64(s.Stage), "run", r.Name, "stage", r.stageName(s.Stage))
	for _, l := range s.Losses {
		x.put("temper_loss", "gauge", "Losses of the last step.", l.Value, "run", r.Name, "loss", l.Name)
	}
	x.put("temper_gradient_norm", "gauge", "Gradient norm of the last step before clipping.", s.GradNorm, "run", r.Name)
	x.put("temper_learning_rate", "gauge", "Learning rate of the last step.", s.LR, "run", r.Name)
	x.put("temper_max_violation_ratio", "gauge", "Largest relative overload of an expert in the last step.", s.MaxViolation, "run", r.Name)
	if s.Wall > 0 {
		x.put("temper_step_seconds", "gauge", "Wall time of the last step.", s.Wall.Seconds(), "run", r.Name)
		x.put("temper_tokens_per_second", "gauge", "Tokens per second in the last step.", s.TokensPerSecond(), "run", r.Name)
	}
	for i, c := range r.Conventions {
		if v := r.MFU(s, i); !math.IsNaN(v) {
			x.put("temper_mfu_ratio", "gauge", "Model operations of the last step over the peak, by convention.", v, "run", r.Name, "convention", c.Name)
		}
	}
	if s.Memory > 0 {
		x.put("temper_memory_peak_bytes", "gauge", "Memory peak of the last step.", float64(s.Memory), "run", r.Name)
	}
	if s.Time > 0 {
		x.put("temper_last_step_timestamp_seconds", "gauge", "Time at the end of the last step, seconds since the epoch.", float64(s.Time)/1000, "run", r.Name)
	}
}

// evaluations are the last value of each measure of each stage, and of what
// rollouts measured.
func (x exposition) evaluations(r *Run) {
	x.measured(r, Evaluation, "temper_evaluation", "Last value of each evaluation.")
	x.measured(r, Rollout, "temper_rollout", "Reward, prompts, generations and tokens of the last rollout.")
}

func (x exposition) measured(r *Run, kind, name, help string) {
	type measure struct{ stage, name string }
	var order []measure
	latest := map[measure]float64{}
	for i := range r.Events {
		if e := &r.Events[i]; e.Kind == kind {
			for _, v := range e.Values {
				m := measure{r.stageName(e.Stage), v.Name}
				if _, ok := latest[m]; !ok {
					order = append(order, m)
				}
				latest[m] = v.Value
			}
		}
	}
	for _, m := range order {
		x.put(name, "gauge", help, latest[m], "run", r.Name, "stage", m.stage, "measure", m.name)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
