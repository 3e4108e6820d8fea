package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/recipe/execution"
	"github.com/temper-ml/temper/recipe/replay"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/verify"
)

// replayProgress says how a replay goes on: in one line how it computes and how
// long that will take, and on a terminal a bar.
type replayProgress struct {
	out    io.Writer
	bars   *mpb.Progress // nil off a terminal
	bar    *mpb.Bar
	status atomic.Pointer[string] // right of the bar, which another goroutine draws
	last   time.Time
}

func newReplayProgress(out io.Writer) *replayProgress { return &replayProgress{out: out} }

// begin announces the steps of a plan.
func (p *replayProgress) begin(ctx context.Context, l *verify.Log, r *replay.Replayer, plan verify.Plan) error {
	starts, err := r.Starts(ctx)
	if err != nil {
		return err
	}
	segments, _ := plan.Segments(l, starts)
	steps, d, err := r.Estimate(segments)
	if err != nil {
		return err
	}
	about := ""
	switch {
	case d >= time.Second:
		about = ", in about " + unit.Duration(d.Round(time.Second))
	case d > 0:
		about = ", in less than a second"
	}
	fmt.Fprintf(p.out, "temper: taking %s again%s, on %s\n", plural(int(steps), "step"), about, r.Describe())
	if way, run := r.Way(); way.SIMD == "go" && len(kernel.Paths()) == 2 && d > time.Minute {
		fmt.Fprintf(p.out, "temper: plain Go is slow, and the only other way of this machine: --simd %s takes the run's own\n", run.SIMD)
	}
	if f, ok := p.out.(*os.File); ok && isTerminal(f) && steps > 0 {
		p.status.Store(new(string))
		p.bars = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(32), mpb.WithRefreshRate(150*time.Millisecond))
		p.bar = p.bars.AddBar(
			steps,
			mpb.PrependDecorators(decor.Name("replay"), decor.CountersNoUnit(" %d/%d")),
			mpb.AppendDecorators(
				decor.Any(func(decor.Statistics) string { return *p.status.Load() }),
				decor.OnComplete(decor.Name("  "), ""), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), ""),
			),
		)
	}
	p.last = time.Now()
	return nil
}

// stepped shows a step that was taken.
func (p *replayProgress) stepped(s *record.Step) {
	if p.bar == nil {
		return
	}
	now := time.Now()
	text := fmt.Sprintf("loss %.4f  %s tok/s", s.Losses["lm"], unit.Count(float64(s.Tokens)/now.Sub(p.last).Seconds()))
	p.status.Store(&text)
	p.last = now
	p.bar.Increment()
}

// sampling shows how far a round of answers is.
func (p *replayProgress) sampling(s execution.Sampling) {
	if p.bar != nil {
		text := fmt.Sprintf("round %d: %d/%d answers", s.Round, s.Answers, s.Total)
		p.status.Store(&text)
	}
}

// search says that a divergence is being looked into.
func (p *replayProgress) search() {
	p.Close()
	p.bar = nil
	fmt.Fprintln(p.out, "temper: a step came out differently: taking it in two ways, operator by operator")
}

// Close ends the display.
func (p *replayProgress) Close() {
	if p.bars == nil {
		return
	}
	if !p.bar.Completed() {
		p.bar.Abort(false)
	}
	p.bars.Wait()
	p.bars = nil
}
