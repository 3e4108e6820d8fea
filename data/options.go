package data

import (
	"encoding/json"
	"fmt"

	"github.com/temper-ml/temper/data/source"
)

// Turns says which assistant turns of a conversation are learnt.
type Turns string

// The policies for turns.
const (
	AllTurns Turns = ""     // every assistant turn
	LastTurn Turns = "last" // the last one
)

// History says what happens to a conversation whose earlier text changes when
// later messages follow it.
type History string

// The policies for rewritten history.
const (
	RefuseHistory History = ""       // the row is an error
	UnrollHistory History = "unroll" // one example for each turn, each in its own context
)

// Overlong says what happens to an example longer than MaxTokens.
type Overlong string

// The policies for examples that are too long. What is cut or left out is
// counted in the Report.
const (
	RefuseLong   Overlong = ""         // the row is an error
	TruncateLong Overlong = "truncate" // the end is cut off; of pairs and judged answers, the beginning of the prompt
	SkipLong     Overlong = "skip"     // the row is left out
	SplitLong    Overlong = "split"    // plain text is cut into consecutive examples
)

// BadRows says what happens to rows that cannot be used.
type BadRows string

// The policies for bad rows.
const (
	RefuseRows BadRows = ""     // loading fails and lists them
	SkipRows   BadRows = "skip" // they are left out, counted in the Report
)

// Options are everything, besides files, tokenizer and encoding, that decides
// which tokens an example has.
type Options struct {
	Source    source.Options `json:"source"`
	Turns     Turns          `json:"turns,omitempty"`
	History   History        `json:"history,omitempty"`
	MaxTokens int            `json:"max_tokens,omitempty"` // of an example, of both sides of a pair together; 0: no limit
	Overlong  Overlong       `json:"overlong,omitempty"`
	BadRows   BadRows        `json:"bad_rows,omitempty"`
	// SkipReasoning leaves the reasoning in the text but does not learn it.
	SkipReasoning bool `json:"skip_reasoning,omitempty"`
	// LiteralSpecials allows answers that spell out a special token: it is learnt
	// as ordinary text. Without it such a row is an error, as it is nearly always
	// text that was rendered already.
	LiteralSpecials bool `json:"literal_specials,omitempty"`
}

// Check refuses options that contradict each other.
func (o *Options) Check() error {
	if err := o.Source.Check(); err != nil {
		return err
	}
	switch {
	case o.Turns != AllTurns && o.Turns != LastTurn:
		return fmt.Errorf("data: turns %q is not known: use last, or leave it out for all", o.Turns)
	case o.History != RefuseHistory && o.History != UnrollHistory:
		return fmt.Errorf("data: history %q is not known: use unroll, or leave it out to refuse", o.History)
	case o.Overlong != RefuseLong && o.Overlong != TruncateLong && o.Overlong != SkipLong && o.Overlong != SplitLong:
		return fmt.Errorf("data: overlong %q is not known: use truncate, skip or split, or leave it out to refuse", o.Overlong)
	case o.BadRows != RefuseRows && o.BadRows != SkipRows:
		return fmt.Errorf("data: bad_rows %q is not known: use skip, or leave it out to refuse", o.BadRows)
	case o.MaxTokens < 0 || o.MaxTokens == 1:
		return fmt.Errorf("data: max_tokens is %d, want 0 (no limit) or at least 2", o.MaxTokens)
	case o.Overlong == SplitLong && o.MaxTokens == 0:
		return fmt.Errorf("data: overlong is split and max_tokens is 0: say how long the pieces may be")
	}
	return nil
}

// canonical returns the bytes that name o in a cache key.
func (o *Options) canonical() []byte {
	b, err := json.Marshal(o) // fields in order, map keys sorted
	if err != nil {
		panic("data: options cannot be written as JSON")
	}
	return b
}
