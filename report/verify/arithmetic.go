package verify

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/record/digest"
)

// Arithmetic judges whether the numbers of the log follow from each other, from
// the recipe, and from what the machine can do. They were compared while the
// log was read; this says what came out.
func (l *Log) Arithmetic() []Check {
	a := l.arithmetic
	if a == nil || l.Manifest == nil {
		f := &findings{}
		f.add("arithmetic").skip(-1, "the manifest could not be read")
		return f.checks()
	}
	if !a.settled {
		a.settled = true
		a.settle()
	}
	return a.findings.checks()
}

// arithmetic compares numbers entry by entry. What it keeps does not grow with
// the log.
type arithmetic struct {
	log      *Log
	findings findings
	settled  bool

	recipe, counts, rates, losses, rollouts, load, evaluations, totals, clock, utilization, flops, device *finding

	text       *recipe // nil when it cannot be read
	config     *arch.Config
	bounds     map[shape]*bounds // of the stages so far
	parameters int64
	ranks      int
	times      stretch
	stage      stageState
	ticks      ticks
	loads      loadRule
	power      power
	// for evidence
	steps, skipped, offPeak int64
	least, most             float64 // utilization
	narrow                  float64 // the widest ratio of bounds
}

// sums are what steps have in all. Of a hostile log they may wrap around, which
// only makes them wrong.
type sums struct{ examples, tokens, supervised, wall, skipped int64 }

func sumOf(b *record.Step) sums {
	s := sums{b.Examples, b.Tokens, b.Supervised, b.Time.Wall, 0}
	if b.Skipped != "" {
		s.skipped = b.Tokens
	}
	return s
}

func (s *sums) add(o sums) {
	*s = sums{s.examples + o.examples, s.tokens + o.tokens, s.supervised + o.supervised, s.wall + o.wall, s.skipped + o.skipped}
}

func (s *sums) sub(o sums) {
	*s = sums{s.examples - o.examples, s.tokens - o.tokens, s.supervised - o.supervised, s.wall - o.wall, s.skipped - o.skipped}
}

// stageState is of the stage under way.
type stageState struct {
	entry  *record.Stage
	recipe *recipeStage
	bounds *bounds
	bytes  float64 // that a step moves through memory at least
}

// shape is what bounds of operations follow from, beside the architecture.
type shape struct {
	sequence     int64
	mtp, indexer bool
}

func newArithmetic(l *Log) *arithmetic {
	a := &arithmetic{log: l, least: math.Inf(1), bounds: map[shape]*bounds{}, times: stretch{stage: -1}}
	for _, f := range []struct {
		name string
		to   **finding
	}{
		{"recipe", &a.recipe},
		{"counts", &a.counts},
		{"learning rate", &a.rates},
		{"losses", &a.losses},
		{"rollouts", &a.rollouts},
		{"load", &a.load},
		{"evaluations", &a.evaluations},
		{"totals", &a.totals},
		{"clock", &a.clock},
		{"utilization", &a.utilization},
		{"flops", &a.flops},
		{"device", &a.device},
	} {
		*f.to = a.findings.add(f.name)
	}
	return a
}

// manifest prepares what is compared with.
func (a *arithmetic) manifest() {
	m := a.log.Manifest
	text, err := readRecipe(m.Recipe)
	if err != nil {
		a.recipe.skip(0, "the recipe in the manifest cannot be read: %v", err)
	} else {
		a.text = text
		a.sameAsRecipe(m)
	}
	if m.Architecture == "" {
		a.flops.skip(0, "the manifest has no architecture")
	} else if a.config, err = arch.ParseConfig([]byte(m.Architecture)); err != nil {
		a.config = nil
		a.flops.fail(0, "manifest: architecture: %v", err)
	}
	if a.config != nil {
		a.parameters, _, _ = a.config.Count()
		a.tensors(m)
	}
	a.loads = newLoadRule(a.config)
	if a.power, err = newPower(m); err != nil {
		a.device.fail(0, "manifest: %v", err)
	}
	a.ticks.last, a.ranks = m.Started, m.Ranks
}

// tensors compares the names of the tensors that were loaded with the architecture's.
func (a *arithmetic) tensors(m *record.Manifest) {
	if len(m.Model) == 0 {
		return
	}
	n := 0
	for _, t := range a.config.Tensors() {
		n++
		if m.Model[t.Name] == "" {
			a.totals.fail(0, "manifest: the model has no digest of %.80q", t.Name)
			return
		}
	}
	if n != len(m.Model) {
		a.totals.fail(0, "manifest: digests of %d tensors of the model, the architecture has %d", len(m.Model), n)
	}
}

// sameAsRecipe compares what manifest and recipe both say.
func (a *arithmetic) sameAsRecipe(m *record.Manifest) {
	r := a.text
	for _, f := range []struct {
		field      string
		said, want any
	}{
		{"run", m.Run, r.Name},
		{"seed", m.Seed, r.Seed},
		{"digests of the model loaded", len(m.Model) > 0, r.Model.Load != ""},
	} {
		if f.said != f.want {
			a.recipe.fail(0, "manifest: %s: %v, the recipe makes it %v", f.field, f.said, f.want)
		}
	}
	if p := r.Record.DigestPeriod; p != nil && *p != m.DigestPeriod {
		a.recipe.fail(0, "manifest: digest_period: %d, the recipe makes it %d", m.DigestPeriod, *p)
	}
}

// entry takes an entry that has its place in the sequence.
func (a *arithmetic) entry(e *record.Entry) {
	a.ticks.entry(a.clock, e)
	switch b := e.Body.(type) {
	case *record.Begin:
		a.begin(e, b)
	case *record.Stage:
		a.enter(e, b)
	case *record.Step:
		a.step(e, b)
	case *record.Recovery:
		a.goBack(b)
		var hosts []record.Host
		if b.Host != nil {
			hosts = append(hosts, *b.Host)
		}
		a.power.again(a.device, e, b.Devices, a.ranks, hosts...)
	case *record.Resume:
		a.power.again(a.device, e, b.Devices, a.ranks, b.Host)
	case *record.Ranks:
		a.ranks = b.Ranks
		a.power.regroup()
		a.power.measuredAgain(a.device, e, b)
	case *record.Rollout:
		a.rollout(e, b)
	case *record.Evaluation:
		a.evaluation(e, b)
	case *record.Routing:
		a.loads.routing(a.load, e, b, a.log)
	case *record.Times:
		a.ranksTime(e, b)
	case *record.End:
		a.end(e, b)
	}
}

// ranksTime compares the time of ranks with that of the steps they took part in.
func (a *arithmetic) ranksTime(e *record.Entry, b *record.Times) {
	if from := a.times.next(b.Stage, b.From, b.To); from != b.From {
		a.clock.fail(e.Index, "entry %d: times of steps %d to %d; those from %d on are next", e.Index, b.From, b.To, from)
		return
	}
	wall := a.log.between(b.Stage, b.From, b.To).wall
	for _, r := range b.Ranks {
		if r.Rank >= a.ranks || r.Split.Wall > wall || a.ranks == 1 && r.Split.Wall != wall {
			a.clock.fail(e.Index, "entry %d: rank %d of %d has %d ns; steps %d to %d took %d ns", e.Index, r.Rank, a.ranks, r.Split.Wall, b.From, b.To, wall)
		}
	}
}

// stretch follows entries about stretches of steps, each of which begins where
// the last one ended.
type stretch struct {
	stage int
	from  int64
}

// next returns where the next stretch must begin, and moves to its end.
func (s *stretch) next(stage int, from, to int64) int64 {
	want := s.from
	if s.stage != stage {
		want = 0
	}
	if from == want {
		*s = stretch{stage, to}
	}
	return want
}

// back follows a recovery.
func (s *stretch) back(b *record.Recovery) { *s = stretch{b.Stage, b.Step} }

func (a *arithmetic) begin(e *record.Entry, b *record.Begin) {
	if a.config == nil {
		return
	}
	total, _, active := a.config.Count()
	if b.Total != total || b.Active != active {
		a.totals.fail(e.Index, "entry %d: %d parameters, %d active; the architecture has %d and %d", e.Index, b.Total, b.Active, total, active)
	}
}

// enter begins a stage, or continues it.
func (a *arithmetic) enter(e *record.Entry, b *record.Stage) {
	if b.From > 0 || a.stage.entry != nil && a.stage.entry.Stage == b.Stage {
		return
	}
	a.stage = stageState{entry: b}
	s := &a.stage
	if a.text != nil {
		if b.Stage >= len(a.text.Stages) {
			a.recipe.fail(e.Index, "entry %d: stage %d, the recipe has %d", e.Index, b.Stage, len(a.text.Stages))
			return
		}
		s.recipe = &a.text.Stages[b.Stage]
		if field := s.recipe.contradicts(b); field != "" {
			a.recipe.fail(e.Index, "entry %d: stage %d: %s", e.Index, b.Stage, field)
		}
	}
	if b.Batch < 1 && b.Round < 1 || b.Sequence < 1 {
		a.counts.skip(e.Index, "entry %d: stage %d does not say its batch and sequence", e.Index, b.Stage)
	}
	if a.config == nil || b.Sequence < 1 {
		a.flops.skip(e.Index, "entry %d: stage %d has no architecture or sequence to count by", e.Index, b.Stage)
		return
	}
	by := shape{b.Sequence, b.MTP, b.Indexer}
	if s.bounds = a.bounds[by]; s.bounds == nil {
		var err error
		if s.bounds, err = newBounds(a.config, b.Sequence, b.MTP, b.Indexer); err != nil {
			a.flops.fail(e.Index, "entry %d: stage %d: %v", e.Index, b.Stage, err)
		}
		a.bounds[by] = s.bounds
	}
	s.bytes = touched(a.log.Manifest, a.parameters, b.Optimizer)
}

// goBack makes the stage that a recovery returned to the present one.
func (a *arithmetic) goBack(b *record.Recovery) {
	a.times.back(b)
	a.loads.counted.back(b)
	if b.Stage >= len(a.log.Stages) || a.stage.entry != nil && a.stage.entry.Stage == b.Stage {
		return
	}
	a.stage = stageState{}
	again := a.log.Stages[b.Stage].Stage
	a.enter(&record.Entry{Index: a.log.Stages[b.Stage].Index}, &again)
}

// end compares the totals of a run with its steps.
func (a *arithmetic) end(e *record.Entry, b *record.End) {
	var t sums
	for i := range a.log.Stages {
		t.add(a.log.between(i, 0, a.log.Taken(i)))
	}
	for _, f := range []struct {
		what      string
		said, sum int64
	}{
		{"steps", b.Steps, a.log.Steps()},
		{"examples", b.Examples, t.examples},
		{"tokens", b.Tokens, t.tokens},
		{"supervised", b.Supervised, t.supervised},
	} {
		if f.said != f.sum {
			a.totals.fail(e.Index, "entry %d (end): %s: %d, the steps that stand add up to %d", e.Index, f.what, f.said, f.sum)
		}
	}
	a.order(e, b)
	if b.Status == "complete" && a.text != nil && len(a.log.Stages) != len(a.text.Stages) {
		a.totals.fail(e.Index, "entry %d (end): complete after %d stages, the recipe has %d", e.Index, len(a.log.Stages), len(a.text.Stages))
	}
}

// order compares the manifest's digest of the order of all examples with those
// of the stages: list("orders", ...) of docs/digests.md.
func (a *arithmetic) order(e *record.Entry, b *record.End) {
	if b.Status != "complete" || a.log.Manifest.Order == "" {
		return
	}
	var orders []digest.Digest
	for i := range a.log.Stages {
		var d digest.Digest
		if err := d.UnmarshalText([]byte(a.log.Stages[i].Order)); err != nil {
			a.recipe.fail(a.log.Stages[i].Index, "entry %d: stage %d has no order of examples: %v", a.log.Stages[i].Index, i, err)
			return
		}
		orders = append(orders, d)
	}
	if got := digest.List("orders", orders).String(); got != string(a.log.Manifest.Order) {
		a.recipe.fail(e.Index, "manifest: order is %.24s..., the stages' orders make %.24s...", a.log.Manifest.Order, got)
	}
}

// settle says what the checks that found nothing are based on.
func (a *arithmetic) settle() {
	m := a.log.Manifest
	if !a.log.complete {
		for _, f := range a.findings.list {
			f.skip(-1, "the log was read up to entry %d only", a.log.Summary.Leaves-1)
		}
		return
	}
	n := a.steps
	a.recipe.saw("seed, name, and %s with steps, batches, sequences and schedules are those of the recipe's text", many(len(a.log.Stages), "stage"))
	a.counts.saw("%d steps: examples, tokens and supervised tokens fit batch, sequence and the tokens of an epoch", n)
	a.rates.saw("%d learning rates recomputed from the recipe, equal in every bit", n)
	a.losses.saw("%d steps finite, %d skipped with a reason", n-a.skipped, a.skipped)
	a.load.saw("%s", a.loads.evidence())
	a.settleRollouts()
	a.settleEvaluations()
	if a.log.End == nil {
		a.totals.skip(-1, "the run has no end, and so no totals")
	}
	if end := a.log.End; end != nil {
		a.totals.saw("%d steps, %d examples, %d tokens, %d supervised", end.Steps, end.Examples, end.Tokens, end.Supervised)
	}
	a.ticks.settle(a.clock)
	if a.power.peak == 0 {
		a.log.notChecked("MFU, and that no step was faster than the device: the manifest has no measured peak of all ranks")
		a.utilization.saw("no peak was measured: no step claims an MFU")
	} else {
		a.utilization.saw("%d values recomputed from operations, wall time and %.4g FLOP/s: %.4g to %.4g", n-a.skipped-a.offPeak, a.power.peak, a.least, a.most)
	}
	a.flops.saw("%d steps within bounds of all ways to cut their tokens, at most %.3g apart", n-a.skipped, a.narrow)
	a.device.saw("%s", a.power.evidence())
	if a.power.bandwidth == 0 {
		a.log.notChecked("time of steps against memory bandwidth: the manifest has none measured of %s", many(m.Ranks, "rank"))
	}
}

// finite reports whether every value is.
func finite(vs ...float64) bool {
	for _, v := range vs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// say names a step in evidence.
func say(e *record.Entry, b *record.Step) string {
	return fmt.Sprintf("entry %d: step %d of stage %d", e.Index, b.Step, b.Stage)
}

// crosses tells whether a step's prompts were also run with each other's answers.
func (s *stageState) crosses(b *record.Step) bool {
	if s.recipe != nil {
		return s.recipe.Method == "dpo" && s.recipe.DPO.Kind == "kto"
	}
	_, kl := b.Losses["kl"]
	return kl && s.entry != nil && s.entry.Method == "dpo"
}
