package verify

import (
	"maps"
	"slices"

	"github.com/temper-ml/temper/internal/detrand"
)

// targets draws the steps that a plan asks for, in order: so many of all steps
// alike, none twice, and one of each stage that got none. Who does not know the
// seed cannot know which.
func (p *Plan) targets(l *Log) []Position {
	total := l.Steps()
	want := p.Steps
	if want <= 0 {
		want = (total + 99) / 100
	}
	want = min(want, total)
	draw, at := detrand.Key(p.Seed, "verify.replay"), uint64(0)
	next := func(n int64) int64 { at++; return int64(draw.Uint64nAt(at-1, uint64(n))) }
	drawn := map[Position]bool{}
	covered := make([]bool, len(l.Stages))
	for int64(len(drawn)) < want {
		t := l.position(next(total))
		drawn[t], covered[t.Stage] = true, true
	}
	for stage := range l.Stages {
		if n := l.Taken(stage); n > 0 && !covered[stage] {
			drawn[Position{stage, next(n)}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(drawn), Position.Compare)
}

// position is the place of the i-th standing step.
func (l *Log) position(i int64) Position {
	stage := len(l.Stages) - 1
	for int64(l.Stages[stage].first) > i {
		stage--
	}
	return Position{stage, i - int64(l.Stages[stage].first)}
}

// Segments returns what is to be replayed to reach the plan's steps, each
// segment from the last start at or before its steps, and the steps that no
// start comes before.
func (p *Plan) Segments(l *Log, starts []Position) (segs []Segment, unreached int64) {
	starts = slices.Clone(starts)
	slices.SortFunc(starts, Position.Compare)
	if p.All {
		return everything(l, starts)
	}
	for _, t := range p.targets(l) {
		i, exact := slices.BinarySearchFunc(starts, t, Position.Compare)
		if !exact {
			i--
		}
		if i < 0 || starts[i].Stage != t.Stage {
			unreached++
			continue
		}
		if n := len(segs); n > 0 && segs[n-1].From == starts[i] {
			segs[n-1].To = t.Step + 1
			continue
		}
		segs = append(segs, Segment{starts[i], t.Step + 1})
	}
	return segs, unreached
}

// everything is each stage from its first start to its end.
func everything(l *Log, starts []Position) (segs []Segment, unreached int64) {
	for stage := range l.Stages {
		taken := l.Taken(stage)
		i, _ := slices.BinarySearchFunc(starts, Position{stage, 0}, Position.Compare)
		from := taken
		if i < len(starts) && starts[i].Stage == stage {
			from = min(from, starts[i].Step)
		}
		unreached += from
		if from < taken || taken == 0 && i < len(starts) && starts[i].Stage == stage {
			segs = append(segs, Segment{Position{stage, from}, taken})
		}
	}
	return segs, unreached
}
