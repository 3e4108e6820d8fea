package answer

import (
	"context"

	"github.com/temper-ml/temper/model/generate"
)

// Engine continues sequences.
type Engine interface {
	// Submit adds a request to those that wait, or refuses it: with a
	// [generate.FullError] if it may come again.
	Submit(generate.Request) (Stream, error)
	Stats() generate.Stats
	Options() generate.Options
}

// Stream is one continuation.
type Stream interface {
	// Next returns the next token as soon as there is one; io.EOF at the end.
	Next(context.Context) (generate.Token, error)
	// Result returns what there is so far, and why it ended.
	Result() generate.Result
	// Cancel ends the continuation, and frees what it holds, soon.
	Cancel()
}

// Engine of package generate.
type engine struct{ *generate.Engine }

// EngineOf makes an engine of package generate one of this package.
func EngineOf(e *generate.Engine) Engine { return engine{e} }

// Submit implements [Engine].
func (e engine) Submit(r generate.Request) (Stream, error) {
	s, err := e.Engine.Submit(r)
	if err != nil {
		return nil, err // a nil *generate.Stream in the interface would not be nil
	}
	return s, nil
}
