package schedule

import (
	"fmt"
	"slices"
	"strings"
)

// Kind names a pipeline schedule.
type Kind string

// The schedules. A run without pipeline parallelism is 1f1b with one stage.
const (
	GPipe       Kind = "gpipe"       // all forwards, then all backwards
	OneFOneB    Kind = "1f1b"        // one forward, one backward: at most Stages microbatches alive
	Interleaved Kind = "interleaved" // 1f1b over several chunks per stage: the bubble shrinks Chunks times
	ZBH1        Kind = "zb-h1"       // 1f1b that fills its bubble with weight gradients, in the same memory
	ZBV         Kind = "zb-v"        // two chunks per stage in a V: no bubble when forward = input = weight time
	DualPipe    Kind = "dualpipe"    // two directions at once, two copies of the parameters
	DualPipeV   Kind = "dualpipev"   // DualPipe folded into a V: one copy
)

var kinds = [...]Kind{GPipe, OneFOneB, Interleaved, ZBH1, ZBV, DualPipe, DualPipeV}

// Kinds lists every schedule, simplest first.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

// ParseKind returns the schedule of a name; "none" is 1f1b, which with one
// stage is plain gradient accumulation.
func ParseKind(name string) (Kind, error) {
	if name == "none" {
		return OneFOneB, nil
	}
	if k := Kind(strings.ToLower(name)); slices.Contains(kinds[:], k) {
		return k, nil
	}
	return "", fmt.Errorf("schedule: no schedule is called %q, the schedules are %v", name, kinds)
}

// SplitsBackward reports whether the schedule runs input and weight gradients
// as separate actions.
func (k Kind) SplitsBackward() bool {
	return k == ZBH1 || k == ZBV || k == DualPipe || k == DualPipeV
}

// AllowsBlockingSends reports whether the schedule can run when a sender waits
// for its receiver. With several chunks per stage, messages cross in ways that
// would make stages wait for each other.
func (k Kind) AllowsBlockingSends() bool { return k == GPipe || k == OneFOneB || k == ZBH1 }

// The largest pipelines that can be described.
const (
	MaxStages  = 1 << 12
	MaxChunks  = 1 << 7
	MaxMicro   = 1 << 22
	maxActions = 1 << 26 // of one Pipeline held in memory
)

// Shape is everything that decides a schedule: its kind, the number of pipeline
// stages, of chunks (virtual stages) on each stage, and of microbatches.
type Shape struct {
	Kind   Kind
	Stages int
	Chunks int
	Micro  int
	// Group is how many microbatches of an interleaved schedule pass all chunks
	// before the next ones start; 0 means GroupSize, and is what other kinds have.
	Group int
}

// String writes a shape as "interleaved 4x2, 8 microbatches", and adds "in
// groups of 5" where the groups are larger than the stages ask for.
func (s Shape) String() string {
	text := fmt.Sprintf("%s %dx%d, %d microbatches", s.Kind, s.Stages, s.Chunks, s.Micro)
	if n := s.GroupSize(); s.Kind == Interleaved && n != s.Stages {
		text += fmt.Sprintf(" in groups of %d", n)
	}
	return text
}

// RuleError says which rule a shape breaks.
type RuleError struct {
	Kind    Kind
	Field   string // stages, chunks, microbatches or group
	Value   int
	Rule    string
	Nearest int // nearest legal value of the field, the others kept
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("schedule: %s: %s is %d, %s, nearest legal value %d", e.Kind, e.Field, e.Value, e.Rule, e.Nearest)
}

// Check reports the first rule that the shape breaks as a *RuleError.
func (s Shape) Check() error {
	if !slices.Contains(kinds[:], s.Kind) {
		return fmt.Errorf("schedule: no schedule is called %q, the schedules are %v", s.Kind, kinds)
	}
	for _, f := range [...]struct {
		name       string
		value, top int
	}{{"stages", s.Stages, MaxStages}, {"chunks", s.Chunks, MaxChunks}, {"microbatches", s.Micro, MaxMicro}} {
		if f.value < 1 || f.value > f.top {
			return &RuleError{s.Kind, f.name, f.value, fmt.Sprintf("must lie in 1..%d", f.top), min(max(f.value, 1), f.top)}
		}
	}
	if s.Group != 0 && s.Kind != Interleaved {
		return s.broken("group", s.Group, "must be 0: only interleaved schedules work in groups", 0)
	}
	switch s.Kind {
	case GPipe, OneFOneB, ZBH1:
		if s.Chunks != 1 {
			return s.broken("chunks", s.Chunks, "must be 1: this schedule has one chunk per stage", 1)
		}
	case Interleaved:
		return s.checkInterleaved()
	case ZBV, DualPipe, DualPipeV:
		return s.checkFolded()
	}
	return nil
}

func (s Shape) broken(field string, value int, rule string, nearest int) error {
	return &RuleError{Kind: s.Kind, Field: field, Value: value, Rule: rule, Nearest: nearest}
}

func (s Shape) checkInterleaved() error {
	if s.Stages < 2 {
		return s.broken("stages", s.Stages, "must be at least 2: one stage has nothing to interleave", 2)
	}
	if s.Chunks < 2 {
		return s.broken("chunks", s.Chunks, "must be at least 2: with one chunk use 1f1b", 2)
	}
	if s.Micro < s.Stages {
		return s.broken("microbatches", s.Micro, fmt.Sprintf("must be at least the %d stages", s.Stages), s.Stages)
	}
	if s.Group != 0 && !s.groups(s.Group) {
		return s.broken("group", s.Group, fmt.Sprintf("must lie in %d..%d and leave no last group of 1..%d microbatches", s.Stages, s.Micro, s.Stages-1), s.nearestGroup())
	}
	return nil
}

func (s Shape) checkFolded() error {
	if s.Chunks != 2 {
		return s.broken("chunks", s.Chunks, "must be 2: every stage holds two chunks", 2)
	}
	if s.Stages < 2 {
		return s.broken("stages", s.Stages, "must be at least 2: one stage has nothing to fold", 2)
	}
	if s.Kind == ZBV {
		return nil
	}
	if s.Kind == DualPipe && s.Stages%2 != 0 {
		return s.broken("stages", s.Stages, "must be even: the two directions meet in the middle", s.Stages-1)
	}
	if s.Micro < 2*s.Stages {
		return s.broken("microbatches", s.Micro, fmt.Sprintf("must be at least twice the %d stages to fill both ways", s.Stages), 2*s.Stages)
	}
	if s.Kind == DualPipe && s.Micro%2 != 0 {
		return s.broken("microbatches", s.Micro, "must be even: half goes each direction", s.Micro-1)
	}
	return nil
}

// nearestMultiple returns the positive multiple of unit closest to n.
func nearestMultiple(n, unit int) int {
	return max(unit, (n+unit/2)/unit*unit)
}
