package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/eval"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/policy"
	"github.com/temper-ml/temper/posttrain/preference"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/train"
)

// progress shows a run while it goes on: a bar per stage on a terminal, a line
// now and then elsewhere.
type progress struct {
	out      io.Writer
	bars     *mpb.Progress // nil off a terminal
	bar      *mpb.Bar
	status   *atomic.Pointer[string] // right of the present bar, which another goroutine draws
	stages   []execution.StageBegan
	last     time.Time // of the last plain line
	measured map[int]execution.Measured

	round       int64 // being sampled, of stage asked
	asked       int
	sampledFrom time.Time // when it was first told of, with so many tokens
	tokensFrom  int64
}

// plainEvery is the time between lines off a terminal.
const plainEvery = 10 * time.Second

func newProgress(out io.Writer) *progress {
	p := &progress{out: out, measured: map[int]execution.Measured{}, asked: -1}
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		p.bars = mpb.New(mpb.WithOutput(out), mpb.WithWidth(32), mpb.WithRefreshRate(150*time.Millisecond))
		p.out = p.bars
	}
	return p
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Observe shows one event.
func (p *progress) Observe(e execution.Event) {
	switch e := e.(type) {
	case execution.Reading:
		fmt.Fprintf(p.out, "temper: reading the data of stage %s\n", e.Name)
	case execution.Began:
		fmt.Fprintf(p.out, "temper: %s, %s parameters (%s active), vocabulary %d, %s on %d threads (peak %s/s measured)\n",
			e.Dir, unit.Count(e.Parameters), unit.Count(e.Active), e.Vocabulary, e.Path, e.Threads, unit.FLOPs(e.PeakFLOPs))
		fmt.Fprintf(p.out, "temper: the record is signed by %s\n", e.Signer)
	case execution.StageBegan:
		p.begin(e)
	case execution.Referring:
		p.refer(e)
	case execution.Taught:
		p.taught(e)
	case execution.Sampling:
		p.sample(e)
	case execution.Rolled:
		p.rolled(e)
	case execution.Stepped:
		p.step(e)
	case execution.Measured:
		p.measure(e)
	case execution.Noted:
		fmt.Fprintf(p.out, "temper: note: %s\n", e.Text)
	}
}

func (p *progress) begin(e execution.StageBegan) {
	p.stages = append(p.stages, e)
	r := e.Report
	if posttrain.Asks(e.Method) {
		fmt.Fprintf(p.out, "temper: stage %s (%s): %s questions to learn from, %d steps\n", e.Name, e.Method, unit.Count(int64(e.Rows)), e.Steps)
	} else {
		fmt.Fprintf(p.out, "temper: stage %s (%s): %s examples, %s tokens (%s supervised), %d rows an epoch, %d steps\n",
			e.Name, e.Method, unit.Count(r.Examples), unit.Count(r.Tokens), unit.Count(r.Supervised), e.Rows, e.Steps)
	}
	leftOut(p.out, e.Name, &r)
	if p.bars == nil {
		return
	}
	status := new(atomic.Pointer[string])
	status.Store(new(string))
	p.status = status
	p.bar = p.bars.AddBar(e.Steps,
		mpb.PrependDecorators(decor.Name(e.Name, decor.WCSyncSpaceR), decor.CountersNoUnit("%d/%d", decor.WCSyncSpace)),
		mpb.AppendDecorators(
			decor.Any(func(decor.Statistics) string { return *status.Load() }),
			decor.OnComplete(decor.Name("  "), ""), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), ""),
		))
	p.bar.SetCurrent(e.From)
}

// listedRows is how many rows of each kind are named.
const listedRows = 3

// leftOut says what became of rows that are not learnt as they stand.
func leftOut(w io.Writer, stage string, r *data.Report) {
	for _, bad := range []struct {
		n    int64
		what string
		list []string
	}{
		{r.Bad, "bad rows left out", r.FirstBad},
		{r.TooLong + r.Unlearnt, "rows too long, left out", r.FirstLong},
		{r.Truncated, "examples truncated", nil},
	} {
		if bad.n == 0 {
			continue
		}
		fmt.Fprintf(w, "temper: stage %s: %d %s\n", stage, bad.n, bad.what)
		n := min(listedRows, len(bad.list))
		for _, row := range bad.list[:n] {
			fmt.Fprintf(w, "temper:   %s\n", row)
		}
		if more := bad.n - int64(n); n > 0 && more > 0 {
			fmt.Fprintf(w, "temper:   and %d more\n", more)
		}
	}
}

// refer shows how far the log-probabilities of a reference are.
func (p *progress) refer(e execution.Referring) {
	if now := time.Now(); e.Done == e.Rows || now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.out, "temper: %s: log-probabilities of the reference: %d of %d rows\n", e.Name, e.Done, e.Rows)
	}
}

// taught shows that a teacher reads.
func (p *progress) taught(e execution.Taught) {
	now := time.Now()
	if now.Sub(p.last) < plainEvery {
		return
	}
	p.last = now
	of := e.First
	if e.Last != e.First {
		of += " to " + strings.TrimPrefix(e.Last, "step ")
	}
	fmt.Fprintf(p.out, "temper: %s: teacher %s reads %d rows of %s\n", e.Name, e.Teacher, e.Rows, of)
}

// sample shows how far a round is.
func (p *progress) sample(e execution.Sampling) {
	now := time.Now()
	if p.round != e.Round || p.asked != e.Stage { // the first told of it
		p.round, p.asked, p.sampledFrom, p.tokensFrom = e.Round, e.Stage, now, e.Tokens
	}
	rate := 0.0
	if d := now.Sub(p.sampledFrom).Seconds(); d > 0 {
		rate = float64(e.Tokens-p.tokensFrom) / d
	}
	text := fmt.Sprintf("round %d: %d/%d answers, %s tok/s", e.Round, e.Answers, e.Total, unit.Count(rate))
	if e.Judged > 0 {
		text += fmt.Sprintf(", %d judged, reward %.3f", e.Judged, e.Reward)
	}
	if p.bar != nil {
		p.status.Store(&text)
		return
	}
	if now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.out, "temper: %s: %s\n", e.Name, text)
	}
}

// rolled shows what a round came to. Off a terminal that is one line for each.
func (p *progress) rolled(e execution.Rolled) {
	if p.bar != nil {
		return // the status of its steps says how good it is
	}
	st := p.stages[len(p.stages)-1]
	text := fmt.Sprintf("round %d: %d answers to %d questions, %s tokens in %s", e.Round, e.Generations, e.Prompts, unit.Count(e.Tokens), unit.Duration(time.Duration(e.Took)))
	if len(e.Rules) > 0 {
		text += fmt.Sprintf(", reward %.3f", e.Reward)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Rules)) {
		text += fmt.Sprintf(", %s %.3f", name, e.Rules[name])
	}
	if e.Truncated > 0 {
		text += fmt.Sprintf("; %d did not end", e.Truncated)
	}
	if e.Failed > 0 {
		text += fmt.Sprintf("; %d could not be judged", e.Failed)
	}
	if now := time.Now(); e.Round == 0 || e.Failed > 0 || now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.out, "temper: %s: %s\n", st.Name, text)
	}
}

func (p *progress) step(e execution.Stepped) {
	r, st := &e.Result, p.stages[len(p.stages)-1]
	loss := r.LM
	for _, name := range []string{preference.LossTerm, train.DivergenceTerm} {
		if v, ok := r.Terms[name]; ok {
			loss = v
		}
	}
	text := fmt.Sprintf("loss %.4f  lr %.2e  %s tok/s", loss, r.LR, unit.Count(float64(r.Counts.Tokens)/r.Time.Total.Seconds()))
	if _, ok := r.Terms[preference.AccuracyTerm]; ok {
		text += fmt.Sprintf("  accuracy %.2f  margin %.4f", r.Terms[preference.AccuracyTerm], r.Terms[preference.MarginTerm])
	}
	if v, ok := r.Terms[policy.RewardTerm]; ok {
		text += fmt.Sprintf("  reward %.3f  surprise %.3f  ratio %.3f", v, r.Terms[policy.SurpriseTerm], r.Terms[policy.RatioTerm])
	}
	if r.Skipped {
		text = "SKIPPED: " + r.Why
	}
	if p.bar != nil {
		p.status.Store(&text)
		p.bar.SetCurrent(r.Step + 1)
		return
	}
	now := time.Now()
	if r.Step == st.From || r.Step+1 == st.Steps || r.Skipped || now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.out, "temper: %s step %d/%d: %s\n", st.Name, r.Step+1, st.Steps, text)
	}
}

func (p *progress) measure(e execution.Measured) {
	var parts []string
	if e.Loss != nil {
		parts = append(parts, fmt.Sprintf("held-out loss %.4f (perplexity %.2f, %s tokens)", e.Loss.Mean, e.Loss.Perplexity, unit.Count(e.Loss.Tokens)))
	}
	if q := e.Pairs; q != nil {
		what := "pairs preferred rightly"
		if q.Answers {
			what = "answers judged rightly"
		}
		parts = append(parts, fmt.Sprintf("held-out loss %.4f, %d/%d %s (%.1f %%)", q.Loss, q.Right, q.Pairs, what, 100*float64(q.Right)/float64(q.Pairs)))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Suites)) {
		a := e.Suites[name]
		if _, sides := e.Metrics[name+"/"+unsafeRefused]; sides {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s %d/%d %s (%.1f %%)", name, a.Right, a.Total, countWord(a.Kind), 100*a.Value()))
	}
	for _, name := range slices.Sorted(maps.Keys(e.Metrics)) {
		suite, metric, _ := strings.Cut(name, "/")
		_, counted := e.Suites[suite]
		_, sides := e.Metrics[suite+"/"+unsafeRefused]
		if counted && !isHeadline(metric, sides) || metric == "ended" || metric == "judged" || name == heldOut+"failed" && e.Metrics[name].Value == 0 {
			continue // the record has them; a line is for the numbers that count
		}
		value, _ := metricText(name, e.Metrics[name])
		parts = append(parts, name+" "+value)
	}
	st := p.stages[len(p.stages)-1]
	fmt.Fprintf(p.out, "temper: %s after %d steps: %s\n", st.Name, e.Step, strings.Join(parts, ", "))
}

// countWord says what a suite of a kind counts.
func countWord(kind string) string {
	switch kind, _, _ := strings.Cut(kind, "/"); eval.Kind(kind) {
	case eval.Choice:
		return "right"
	case eval.Preference:
		return "preferred"
	case eval.Refusal:
		return "refused"
	}
	return "exact"
}

// Close ends the display, whether or not the run got to its end.
func (p *progress) Close() {
	if p.bars == nil {
		return
	}
	if p.bar != nil && !p.bar.Completed() {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}
