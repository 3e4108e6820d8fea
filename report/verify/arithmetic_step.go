package verify

import (
	"math"
	"slices"

	"github.com/temper-ml/temper/report/record"
)

// step compares the numbers of a step.
func (a *arithmetic) step(e *record.Entry, b *record.Step) {
	a.steps++
	if a.stage.entry == nil {
		return
	}
	a.count(e, b)
	a.rate(e, b)
	a.loss(e, b)
	a.loads.step(a.load, e, b)
	a.speed(e, b)
}

// count compares examples and tokens with the stage's shape. After s steps of B
// rows, of R an epoch, the tokens of floor(s·B/R) epochs have been seen at
// least and those of one more at most.
func (a *arithmetic) count(e *record.Entry, b *record.Step) {
	s := a.stage.entry
	if s.Round > 0 {
		a.learnt(e, b)
		return
	}
	switch {
	case s.Batch < 1 || s.Sequence < 1:
		return
	case b.Examples < s.Batch || b.Examples > b.Tokens:
		a.counts.fail(e.Index, "%s: %d examples of %d tokens in a batch of %d rows; a row has one at least, and an example a token", say(e, b), b.Examples, b.Tokens, s.Batch)
	case (b.Tokens-1)/s.Batch >= s.Sequence:
		a.counts.fail(e.Index, "%s: %d tokens in %d rows of at most %d", say(e, b), b.Tokens, s.Batch, s.Sequence)
	case b.Supervised < 1 || b.Supervised > b.Tokens-b.Examples:
		a.counts.fail(e.Index, "%s: %d supervised of %d tokens in %d examples; a loss needs one, and nothing predicts the first token of an example", say(e, b), b.Supervised, b.Tokens, b.Examples)
	}
	if s.Rows < 1 || s.Tokens < 1 {
		return
	}
	taken := b.Step + 1
	seen := a.log.between(b.Stage, 0, taken)
	rows := float64(taken) * float64(s.Batch)
	low, high := math.Floor(rows/float64(s.Rows)), math.Ceil(rows/float64(s.Rows))
	for _, q := range []struct {
		what        string
		seen, epoch int64
	}{{"tokens", seen.tokens, s.Tokens}, {"supervised tokens", seen.supervised, s.Supervised}} {
		if seen := float64(q.seen); seen < low*float64(q.epoch) || seen > high*float64(q.epoch) {
			a.counts.fail(e.Index, "%s: %d %s since the stage began; %d steps of %d rows are %.4g epochs of %d", say(e, b),
				q.seen, q.what, taken, s.Batch, rows/float64(s.Rows), q.epoch)
		}
	}
}

// rate recomputes the learning rate.
func (a *arithmetic) rate(e *record.Entry, b *record.Step) {
	r := a.stage.recipe
	if r == nil {
		a.rates.skip(e.Index, "%s has no recipe to compute it from", say(e, b))
		return
	}
	l := r.schedule()
	if want := learningRate(&l, b.Step, a.stage.entry.Steps); math.Float64bits(want) != math.Float64bits(b.LR) {
		a.rates.fail(e.Index, "%s: %v, the recipe's schedule gives %v", say(e, b), b.LR, want)
	}
}

// loss refuses losses and norms that no step has.
func (a *arithmetic) loss(e *record.Entry, b *record.Step) {
	if b.Skipped != "" {
		a.skipped++
		if r := a.stage.recipe; r != nil && r.NonFinite == "stop" {
			a.losses.fail(e.Index, "%s was skipped; the recipe stops instead", say(e, b))
		}
		return
	}
	for name, v := range b.Losses {
		// Divergences are not negative but for rounding; other objectives may be.
		if !finite(v) || v < -1e-3 && slices.Contains(lossOrder, name) {
			a.losses.fail(e.Index, "%s: losses.%.40s is %v, and the step was not skipped", say(e, b), name, v)
		}
	}
	if !finite(b.GradNorm) || b.GradNorm < 0 {
		a.losses.fail(e.Index, "%s: the gradient's norm is %v, and the step was not skipped", say(e, b), b.GradNorm)
	}
}

// speed compares operations with their bounds, MFU with operations and wall
// time, and wall time with what the devices can do.
func (a *arithmetic) speed(e *record.Entry, b *record.Step) {
	if b.Skipped != "" && b.FLOPs == 0 && b.MFU == 0 {
		return // what a step that was given up computed is not counted
	}
	if !finite(b.FLOPs, b.MFU) || b.FLOPs < 0 || b.MFU < 0 {
		a.flops.fail(e.Index, "%s: %v operations, MFU %v", say(e, b), b.FLOPs, b.MFU)
		return
	}
	if bs := a.stage.bounds; bs != nil && b.Tokens <= mostSequence && b.Examples <= b.Tokens {
		least, most := bs.of(b, a.stage.crosses(b))
		a.narrow = max(a.narrow, most/least)
		if b.FLOPs < least || b.FLOPs > most {
			a.flops.fail(e.Index, "%s: %.6g operations; %d tokens in %d examples, in rows of at most %d, need %.6g to %.6g", say(e, b), b.FLOPs, b.Tokens, b.Examples, bs.row, least, most)
		}
	}
	wall := float64(b.Time.Wall) / 1e9
	if b.Time.Wall < 1 {
		a.device.fail(e.Index, "%s took no time", say(e, b))
		return
	}
	a.power.step(a.device, e, b, a.stage.bytes)
	if a.power.peak == 0 {
		a.offPeak++
		if b.MFU != 0 && !a.power.regrouped {
			a.utilization.fail(e.Index, "%s: MFU %v without a measured peak", say(e, b), b.MFU)
		}
		return
	}
	want := b.FLOPs / (wall * a.power.peak)
	a.least, a.most = min(a.least, want), max(a.most, want)
	if math.Abs(b.MFU-want) > 1e-9*want {
		a.utilization.fail(e.Index, "%s: MFU %v; %.6g operations in %.6g s of %.6g FLOP/s are %v", say(e, b), b.MFU, b.FLOPs, wall, a.power.peak, want)
	}
}
