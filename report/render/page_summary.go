package render

import (
	"fmt"
	"math"
	"slices"
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
	if n := len(r.Steps); n > 0 {
		out = append(out, tile{"loss", short(r.Steps[0].Loss()) + " → " + short(r.Steps[n-1].Loss()), "first and last step"})
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
	if n := len(r.Steps); n > 0 {
		for _, name := range lossNames(r) {
			out = append(out, Fact{"loss " + name + ", first and last", short(find(r.Steps[0].Losses, name)) + " → " + short(find(r.Steps[n-1].Losses, name))})
		}
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
	t := &table{Caption: "Stages", Head: []string{
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
		t.Rows = [][]string{{"stages", notRecorded}}
		t.Head = nil
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

// answers says for each question whether the run's entries answer it.
func (v *view) answers() *table {
	yes := func(ok bool, what string) string {
		if !ok {
			return notRecorded
		}
		return what
	}
	return v.compare("Questions and answers", func(r *Run) []Fact {
		s := v.summary[slices.Index(v.runs, r)]
		timeline := yes(len(r.Steps) > 0, "steps and their durations, without dates: see Timeline")
		if s.Last > 0 {
			timeline = "dated: see Timeline"
		}
		evaluated := slices.ContainsFunc(r.Events, func(e Event) bool { return e.Kind == Evaluation })
		against := yes(r.Peak > 0, "by peaks of data sheets: see Against other hardware")
		if !v.alone() {
			against = "the runs beside it, and peaks of data sheets"
		}
		return []Fact{
			{"Against which other hardware is it compared?", against},
			{"How long did it take, and when?", timeline},
			{"How well was the hardware used?", yes(len(s.MFU) > 0, plural(int64(len(s.MFU)), "convention", "conventions")+": see Utilization")},
			{"How much of the time was of use?", yes(s.Useful != nil, "see Checkpoints and goodput")},
			{"On what hardware?", yes(len(r.Hardware) > 0, "see Hardware")},
			{"With which software?", yes(len(r.Software) > 0, "see Software")},
			{"Over which interconnect?", yes(len(r.Interconnect) > 0, "see Interconnect")},
			{"On what data?", yes(len(r.Data) > 0, "see Data")},
			{"How good is the result, before and after?", yes(evaluated, "see Evaluation")},
			{"What went wrong?", yes(len(r.Steps)+len(r.Events) > 0, fmt.Sprintf("%s on record: see Incidents", plural(s.Faults+s.Recoveries+s.Skipped, "incident", "incidents")))},
			{"Can it be repeated?", yes(r.Recipe != "" && len(r.Data) > 0, "the complete recipe and the digests of all inputs: see Recipe, Data; replay it with temper verify")},
			{"Who checked it?", verdictOf("", r.Verdict).Result},
		}
	})
}

// verification are the checks of each run.
func (v *view) verification() []part {
	t := &table{Caption: "Checks", Head: []string{"check", "run", "result", "evidence"}}
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
