package render

import (
	"time"

	"github.com/temper-ml/temper/report/record"
)

// Totals sum up steps and events that a Run does not hold. They only grow:
// steps that are taken again count again.
type Totals struct {
	Steps, Skipped               int64
	Examples, Tokens, Supervised int64
	Wall                         time.Duration
	// Parts are where Wall went, by name as in Step.Split.
	Parts map[string]time.Duration
	// Events are numbers of events by kind.
	Events map[string]int64
}

// Add counts a step in.
func (t *Totals) Add(b *record.Step) {
	t.Steps++
	if b.Skipped != "" {
		t.Skipped++
	}
	t.Examples, t.Tokens, t.Supervised = t.Examples+b.Examples, t.Tokens+b.Tokens, t.Supervised+b.Supervised
	t.Wall += time.Duration(b.Time.Wall)
	if t.Parts == nil {
		t.Parts = map[string]time.Duration{}
	}
	for _, p := range split(&b.Time) {
		t.Parts[p.Name] += p.Took
	}
}

// Count counts an event in.
func (t *Totals) Count(kind string) {
	if t.Events == nil {
		t.Events = map[string]int64{}
	}
	t.Events[kind]++
}
