package render

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/temper-ml/temper/internal/unit"
)

// tiles are what a reader of one run looks for first.
func (v *view) tiles() []tile {
	r, s, g := v.runs[0], v.summary[0], &v.good[0]
	out := []tile{{"state", state(s), ""}}
	if g.Wall > 0 {
		out = append(out, tile{"time", unit.Duration(g.Wall), "from " + clock(s.Started)})
	}
	out = append(out, tile{"tokens", unit.Count(s.Tokens).String(), fmt.Sprintf("%s, %s supervised", plural(s.Steps, "step", "steps"), unit.Count(s.Supervised))})
	if t, ok := r.lossTile(); ok {
		out = append(out, t)
	}
	if s.TokensPerSecond != nil {
		out = append(out, tile{"throughput", unit.Count(*s.TokensPerSecond).String() + " tokens/s", "in steps"})
	}
	if len(r.Conventions) > 0 {
		if m := r.mean(0); !math.IsNaN(m) {
			out = append(out, tile{"MFU", percent(m), r.Conventions[0].Name + ", of " + rate(r.Peak)})
		}
	}
	if g.Wall > 0 {
		out = append(out, tile{"goodput", percent(g.Useful()), fmt.Sprintf("%s taken again", plural(s.Again, "step", "steps"))})
	}
	return append(out, tile{"incidents", itoa(s.Faults + s.Recoveries + s.Skipped), "faults, recoveries, skipped steps"})
}

// lossTile is the loss of the last stage that took steps: other stages may minimise
// other things.
func (r *Run) lossTile() (tile, bool) {
	n := len(r.Steps)
	if n == 0 {
		return tile{}, false
	}
	last := &r.Steps[n-1]
	first := slices.IndexFunc(r.Steps, func(s Step) bool { return s.Stage == last.Stage })
	note := "first and last step"
	if first > 0 {
		note += " of " + r.stageName(last.Stage)
	}
	return tile{"loss", short(r.Steps[first].Loss()) + " → " + short(last.Loss()), note}, true
}

// firstAndLast are the first and the last value of a loss, which other steps may not have.
func (r *Run) firstAndLast(name string) (first, last float64) {
	first, last = math.NaN(), math.NaN()
	for i := range r.Steps {
		if v := find(r.Steps[i].Losses, name); !math.IsNaN(v) {
			if last = v; math.IsNaN(first) {
				first = v
			}
		}
	}
	return first, last
}

// state says whether a run ended, and how.
func state(s *Summary) string {
	if s.State == "open" {
		return "no end on record"
	}
	return s.State
}

func (v *view) summaries() []part {
	return []part{whole(v.compare("Runs in numbers", v.inNumbers)), whole(v.stages())}
}

// inNumbers are the rows of the table that compares runs.
func (v *view) inNumbers(r *Run) []Fact {
	k := slices.Index(v.runs, r)
	s, g := v.summary[k], &v.good[k]
	out := []Fact{
		{"state", state(s)},
		{"started", ""},
		{"last entry", ""},
		{"steps", grouped(s.Steps)},
		{"tokens", grouped(s.Tokens)},
		{"supervised tokens", grouped(s.Supervised)},
		{"time in steps", time.Duration(s.StepSeconds * 1e9).Round(time.Millisecond).String()},
	}
	if s.Last > 0 {
		out[1].Value, out[2].Value = clock(s.Started), clock(s.Last)
	}
	if s.Parameters > 0 {
		out = append(out, Fact{"parameters", fmt.Sprintf("%s, %s for each token", unit.Count(s.Parameters), unit.Count(s.Active))})
	}
	if s.TokensPerSecond != nil {
		out = append(out, Fact{"tokens per second", short(*s.TokensPerSecond)})
	}
	for _, name := range lossNames(r) {
		first, last := r.firstAndLast(name)
		out = append(out, Fact{"loss " + name + ", first and last", short(first) + " → " + short(last)})
	}
	for c, by := range r.Conventions {
		out = append(out, Fact{"MFU, " + by.Name, percent(r.mean(c))})
	}
	peak := ""
	if r.Peak > 0 {
		peak = rate(r.Peak)
		if r.PeakBasis != "" {
			peak += ", " + r.PeakBasis
		}
	}
	out = append(out, Fact{"peak", peak})
	if s.Memory > 0 {
		out = append(out, Fact{"memory peak", unit.Bytes(s.Memory).String()})
	}
	if s.Energy != nil {
		out = append(out, Fact{"energy", fmt.Sprintf("%.4g kWh in steps", *s.Energy/3.6e6)})
	}
	if g.Wall > 0 {
		out = append(out, Fact{"goodput", percent(g.Useful())})
	}
	return append(
		out, Fact{"faults, recoveries", fmt.Sprintf("%d, %d", s.Faults, s.Recoveries)}, Fact{"steps taken again", itoa(s.Again)},
		Fact{"final weights", s.Weights}, Fact{"verification", verdictOf("", r.Verdict).Result},
	)
}

// stages is what each stage of each run was to do, and did.
func (v *view) stages() *table {
	t := &table{Caption: "Stages", PerRun: true, Head: []string{
		"stage", "run", "method", "steps", "of", "rows a step", "tokens a row", "rows", "held out", "optimizer", "learning rate", "also trained", "loss",
	}}
	for k, r := range v.runs {
		for i, o := range v.summary[k].Stages {
			s := &r.Stages[i]
			loss := notRecorded
			if o.LossFirst != nil && o.LossLast != nil {
				loss = short(*o.LossFirst) + " → " + short(*o.LossLast)
			}
			t.Rows = append(t.Rows, []string{
				o.Name, v.names[k], orNotRecorded(s.Method), itoa(o.Steps), itoa(s.Steps), countOr(s.Batch), countOr(s.Sequence), countOr(s.Rows),
				itoa(s.HeldOut), orNotRecorded(s.Optimizer), schedule(s), beside(s), loss,
			})
		}
	}
	if len(t.Rows) == 0 {
		return &table{Caption: t.Caption, Rows: [][]string{{"stages", notRecorded}}}
	}
	return t
}

// schedule says how a stage's learning rate goes.
func schedule(s *Stage) string {
	l := s.LR
	switch {
	case l.Kind == "":
		return notRecorded
	case l.Kind == "constant" && l.Warmup == 0:
		return "constant " + short(l.Peak)
	case l.Kind == "constant":
		return fmt.Sprintf("constant %s after %d steps of warmup", short(l.Peak), l.Warmup)
	}
	out := fmt.Sprintf("%s, %s to %s, warmup %d", l.Kind, short(l.Peak), short(l.Final), l.Warmup)
	if l.Decay > 0 {
		out += fmt.Sprintf(", decay %d", l.Decay)
	}
	return out
}

// beside are the losses that a stage trains beside that of the next token.
func beside(s *Stage) string {
	switch {
	case s.MTP && s.Indexer:
		return "MTP, indexer"
	case s.MTP:
		return "MTP"
	case s.Indexer:
		return "indexer"
	}
	return "–"
}

func orNotRecorded(s string) string {
	if s == "" {
		return notRecorded
	}
	return s
}

// countOr is n, "not recorded" for what is not known.
func countOr(n int64) string { return orNotRecorded(count(n)) }

// answers says for each question what the run's entries answer, and links it to
// where the page says more.
func (v *view) answers() *table {
	var anchors []string
	t := v.compare("Questions and answers", func(r *Run) []Fact {
		answers := v.answer(r)
		out := make([]Fact, len(answers))
		anchors = anchors[:0]
		for i, a := range answers {
			out[i] = Fact{a.question, a.answer}
			anchors = append(anchors, a.anchor)
		}
		return out
	})
	t.Anchors = anchors
	return t
}

// answer is what a run says to a question; anchor is the section about it.
type answer struct{ question, answer, anchor string }

func (v *view) answer(r *Run) []answer {
	k := slices.Index(v.runs, r)
	s, g := v.summary[k], &v.good[k]
	yes := func(ok bool, what string) string {
		if !ok {
			return notRecorded
		}
		return what
	}
	against := yes(r.Peak > 0, "data sheets, by the measured peak")
	if !v.alone() {
		against = "the runs beside it, and data sheets"
	}
	timeline := yes(len(r.Steps) > 0, "steps and their durations, without dates")
	if s.Last > 0 {
		timeline = fmt.Sprintf("%s, %s to %s", unit.Duration(g.Wall), clock(s.Started), clock(s.Last))
	}
	var mfu []string
	for c, by := range r.Conventions {
		if m := r.mean(c); !math.IsNaN(m) {
			mfu = append(mfu, fmt.Sprintf("%s %.1f %%", by.Name, 100*m))
		}
	}
	return []answer{
		{"Against which other hardware is it compared?", against, "comparison"},
		{"How long did it take, and when?", timeline, "timeline"},
		{"How well was the hardware used?", yes(len(mfu) > 0, "MFU: "+strings.Join(mfu, ", ")), "utilization"},
		{"How much of the time was of use?", yes(s.Useful != nil, percent(g.Useful())+" in steps that stand"), "goodput"},
		{"On what hardware?", yes(len(r.Hardware) > 0, r.hardwareText()), "hardware"},
		{"With which software?", yes(len(r.Software) > 0, softwareText(r)+", and the sum of every module"), "software"},
		{"Over which interconnect?", yes(len(r.Interconnect) > 0, linksText(r.Interconnect)), "interconnect"},
		{"On what data?", orNotRecorded(dataText(r)), "data"},
		{"How good is the result, before and after?", orNotRecorded(measuredText(r, s)), "evaluation"},
		{"What went wrong?", yes(len(r.Steps)+len(r.Events) > 0, fmt.Sprintf("%s, %s, %s taken again, %d skipped",
			plural(s.Faults, "fault", "faults"), plural(s.Recoveries, "recovery", "recoveries"), plural(s.Again, "step", "steps"), s.Skipped)), "incidents"},
		{"Can it be repeated?", yes(r.Recipe != "" && len(r.Data) > 0, "the complete recipe and digests of all inputs are here; temper verify takes steps again"), "recipe"},
		{"Who checked it?", verdictOf("", r.Verdict).Result, "verification"},
	}
}

// measuredText is what the stages measured, before and after.
func measuredText(r *Run, s *Summary) string {
	var out []string
	for _, o := range s.Stages {
		for i := range o.Measures {
			m := &o.Measures[i]
			out = append(out, fmt.Sprintf("%s, %s: %s", o.Name, strings.ReplaceAll(m.Name, "_", " "), r.change(m)))
		}
	}
	if n := len(out); n > 4 {
		out = append(out[:4], fmt.Sprintf("%d more", n-4))
	}
	return strings.Join(out, "; ")
}

// verification are the checks of each run.
func (v *view) verification() []part {
	t := &table{Caption: "Checks", PerRun: true, Head: []string{"check", "run", "result", "evidence"}}
	for k, r := range v.runs {
		if r.Verdict == nil || len(r.Verdict.Checks) == 0 {
			t.Rows = append(t.Rows, []string{"all", v.names[k], verdictOf("", r.Verdict).Result, verdictOf("", r.Verdict).Text})
			continue
		}
		for _, c := range r.Verdict.Checks {
			t.Rows = append(t.Rows, []string{c.Name, v.names[k], c.Result, c.Evidence})
		}
	}
	return []part{whole(t)}
}
