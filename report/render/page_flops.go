package render

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/model/arch"
)

// utilization is MFU by convention over time and in all, and the ledger that the
// run's own convention adds up.
func (v *view) utilization() []part {
	var mfu []chartLine
	for k, r := range v.runs {
		for c, by := range r.Conventions {
			label := by.Name
			if !v.alone() {
				label = v.names[k]
			}
			mfu = append(mfu, chartLine{name: label, run: k, values: func(i int) float64 { return r.MFU(&r.Steps[i], c) }})
			if !v.alone() {
				break // the run's own, the others are in the table
			}
		}
	}
	out := []part{
		v.draw(chart{title: "Utilization (MFU)", note: "of each step", axis: "MFU", from0: true, wide: true, lines: mfu}),
		whole(v.conventions()),
	}
	for k, r := range v.runs {
		out = append(out, ledgers(v.names[k], r)...)
	}
	return out
}

func (v *view) conventions() *table {
	t := &table{Caption: "Operations and utilization by convention", PerRun: true, Head: []string{"convention", "run", "operations", "a token", "MFU over all steps", "what it counts"}}
	for k, r := range v.runs {
		for c, by := range r.Conventions {
			flops := r.flops(c)
			operations, token := notRecorded, notRecorded
			if flops > 0 {
				operations = unit.FLOPs(flops).String()
				if n := v.summary[k].Tokens; n > 0 {
					token = unit.FLOPs(flops / float64(n)).String()
				}
			}
			t.Rows = append(t.Rows, []string{by.Name, v.names[k], operations, token, percent(r.mean(c)), by.Basis})
		}
	}
	if len(t.Rows) == 0 {
		return &table{Caption: t.Caption, Rows: [][]string{{"operations", notRecorded}}}
	}
	return t
}

// ledgers are the products of an average step of each stage, by operator, from
// formulas and product by product, beside what the run recorded.
func ledgers(name string, r *Run) []part {
	if r.Model == nil {
		return []part{silent("FLOP ledger of "+name, "The model’s architecture")}
	}
	var out []part
	for i := range r.Stages[:min(len(r.Stages), maxStages)] {
		w, ok := r.work(i)
		if !ok {
			continue
		}
		out = append(out, part{Table: ledger(name, r, i, &w), Wide: true, Folded: len(r.Stages) > 1 || i > 0})
	}
	return out
}

// work is the mean example of a stage, and how many such its steps had.
type work struct {
	arch.Work
	examples, tokens, recorded float64
	steps                      int64
}

// work is the average example of a stage's steps.
func (r *Run) work(stage int) (work, bool) {
	var w work
	var examples, tokens, supervised int64
	for i := range r.Steps {
		s := &r.Steps[i]
		if s.Stage != stage {
			continue
		}
		w.steps++
		examples, tokens, supervised = examples+s.Examples, tokens+s.Tokens, supervised+s.Supervised
		if len(s.FLOPs) > 0 {
			w.recorded += s.FLOPs[0]
		}
	}
	if examples <= 0 || tokens < examples || tokens/examples > 1<<20 {
		return w, false
	}
	st := &r.Stages[stage]
	n, labelled := (tokens-1)/examples+1, (supervised+examples-1)/examples
	w.Work = arch.Work{Lengths: []int{int(n)}, MTP: st.MTP, IndexerLoss: st.Indexer, Supervised: []int64{labelled}}
	if st.MTP {
		for d := range int64(min(r.Model.NumMTP, 64)) {
			w.Supervised = append(w.Supervised, max(min(labelled, n-1-d), 0))
		}
	}
	w.examples, w.tokens = float64(examples), float64(tokens)
	return w, true
}

// ledger is the table of a stage. The columns are two ways to one number, and
// the last row compares their sum with what the run's steps recorded.
func ledger(name string, r *Run, stage int, w *work) *table {
	t := &table{
		Caption: fmt.Sprintf("FLOP ledger of %s, stage %s: a token of an example of %d tokens, the mean of %s", name, r.stageName(stage), w.Lengths[0], plural(w.steps, "step", "steps")),
		Head:    []string{"operator", "blocks", "forward", "backward", "both, by formula", "product by product", "share", "what is multiplied"},
	}
	each := map[string]float64{}
	for _, o := range r.Model.Operations(w.Work) {
		each[o.Operator] += float64(2 * float64(o.Wanted))
	}
	lines := r.Model.Ledger(w.Work)
	tokens, all, products := float64(w.Lengths[0]), 0.0, 0.0
	for _, l := range lines {
		all += l.Forward + l.Backward
	}
	for _, l := range lines {
		both := l.Forward + l.Backward
		products += each[l.Operator]
		t.Rows = append(t.Rows, []string{
			l.Operator, fmt.Sprint(l.Layers), flop(l.Forward / tokens), flop(l.Backward / tokens), flop(both / tokens), flop(each[l.Operator] / tokens),
			fmt.Sprintf("%.1f %%", 100*both/all), l.Note,
		})
	}
	t.Rows = append(t.Rows, []string{"all", "", "", "", flop(all / tokens), flop(products / tokens), "100 %", "differ by " + offBy(products, all)})
	recorded := []string{"recorded", "", "", "", flop(w.recorded / w.tokens), "", "", ""}
	if w.recorded > 0 {
		recorded[7] = "by the run of its real examples, which are not all of the mean length: " + offBy(w.recorded/w.tokens, all/tokens)
	} else {
		recorded[4] = notRecorded
	}
	t.Rows = append(t.Rows, recorded)
	return t
}

func flop(x float64) string { return unit.FLOPs(x).String() }

// offBy is how far x is from a reference.
func offBy(x, of float64) string {
	if of == 0 || math.IsNaN(x/of) {
		return notRecorded
	}
	return fmt.Sprintf("%+.3g %%", 100*(x/of-1))
}

// against are the devices that a run is compared with.
var against = []string{"h100", "h800", "b200", "ascend-910c", "mi300x"}

// devices are the catalogue's entries of them.
var devices = sync.OnceValue(func() []*hardware.Cluster {
	var out []*hardware.Cluster
	for _, name := range against {
		if c, err := hardware.Load(name); err == nil {
			out = append(out, c)
		}
	}
	return out
})

// comparison sets the run's measured peak and its operations beside data sheets.
func (v *view) comparison() []part {
	var out []part
	for k, r := range v.runs {
		if r.Peak <= 0 || len(r.Conventions) == 0 {
			out = append(out, silent("Comparison of "+v.names[k], "A measured peak and operations"))
			continue
		}
		out = append(out, whole(compared(v.names[k], r, v.summary[k])))
		if len(r.Predictions) > 0 {
			out = append(out, whole(predicted(v.names[k], r)))
		}
	}
	return out
}

// compared is the table of one run. Times are of its operations at its own
// utilization, on as many devices as it had ranks.
func compared(name string, r *Run, s *Summary) *table {
	mfu, flops, ranks := r.mean(0), r.flops(0), float64(max(r.Ranks, 1))
	t := &table{
		Caption: fmt.Sprintf("Derived: the operations of %s (%s) at its own utilization of %s, on as many devices as it had ranks, %.0f", name, r.Conventions[0].Name, percent(mfu), ranks),
		Head:    []string{"device", "format", "peak of one", "over this run’s peak a rank", "time of these steps", "how the peak is known"},
	}
	t.Rows = append(t.Rows, []string{"this run", orNotRecorded(r.DType), rate(r.Peak / ranks), "1", seconds(s.StepSeconds), "measured by the run: " + r.PeakBasis})
	for _, c := range devices() {
		for _, dtype := range slices.Compact([]hardware.DType{hardware.BF16, hardware.DType(r.DType)}) {
			peak, ok := c.Device.PeakOf(dtype)
			if !ok {
				continue
			}
			e, _ := c.Evidence("device.peak." + string(dtype))
			took := seconds(flops / (peak * ranks * mfu))
			t.Rows = append(t.Rows, []string{
				c.Device.Name, string(dtype), rate(peak), fmt.Sprintf("%.4g ×", peak/(r.Peak/ranks)), took, fmt.Sprintf("%s: %s", e.Grade, e.Source),
			})
		}
	}
	return t
}

// predicted is what the planner says of other hardware beside what the run took.
func predicted(name string, r *Run) *table {
	stage := r.Predictions[0].Stage
	t := &table{
		Caption: fmt.Sprintf("Predicted by temper plan: a step of %s, stage %s, of the same batch and rows", name, r.stageName(stage)),
		Head:    []string{"hardware", "format", "devices", "tokens a step", "step", "90 % interval", "tokens/s", "over this run", "layout, bound by"},
	}
	var tokens int64
	var wall time.Duration
	n := 0.0
	for i := range r.Steps {
		if s := &r.Steps[i]; s.Stage == stage {
			tokens, wall, n = tokens+s.Tokens, wall+s.Wall, n+1
		}
	}
	own := float64(tokens) / wall.Seconds()
	t.Rows = append(t.Rows, []string{
		"this run", orNotRecorded(r.DType), count(max(r.Ranks, 1)), short(float64(tokens) / n), seconds(wall.Seconds() / n), "measured", orDash(own), "1", "–",
	})
	for i := range r.Predictions {
		p := &r.Predictions[i]
		if p.Why != "" {
			t.Rows = append(t.Rows, []string{p.Hardware, p.DType, "–", "–", "–", "–", "–", "–", "no layout: " + p.Why})
			continue
		}
		rate, over := p.Tokens/p.Seconds, "–"
		if own > 0 {
			over = fmt.Sprintf("%.4g ×", rate/own)
		}
		t.Rows = append(t.Rows, []string{
			p.Hardware, p.DType, count(p.Devices), short(p.Tokens), seconds(p.Seconds), fmt.Sprintf("%s to %s", seconds(p.Low), seconds(p.High)), short(rate),
			over, p.Layout + "; " + p.BoundBy,
		})
	}
	return t
}

// seconds prints a time that may be very short.
func seconds(x float64) string {
	switch {
	case !(x > 0) || x > 1e9:
		return notRecorded
	case x < 1:
		return fmt.Sprintf("%.3g s", x)
	}
	return unit.Duration(time.Duration(x * 1e9))
}
