package answer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/generate"
)

// Request asks for one answer.
type Request struct {
	Prompt
	MaxTokens int
	// Stop lists texts that end the answer, which they are not part of: of a turn
	// its content, neither its reasoning nor its calls.
	Stop     []string
	Sampling generate.Sampling
	// LogProbs asks for tokens with their probabilities, and for the Top most likely
	// ones of each.
	LogProbs bool
	Top      int
	// Score asks for the log-probabilities of the prompt's tokens but the first; then
	// MaxTokens may be 0.
	Score bool
	// OneCall ends the answer after its first tool call.
	OneCall bool
}

// Event is what was written next.
type Event struct {
	chat.Delta
	// Tokens are those that the text of the part now goes up to, if asked for.
	Tokens []generate.Token
	// IDs are all tokens that were drawn since the last event, whatever they are.
	IDs []int32
}

// Finish says why an answer ended.
type Finish string

// The reasons: the model or a stop text ended it; the limit or the context did; it
// calls tools.
const (
	Stop   Finish = "stop"
	Length Finish = "length"
	Tools  Finish = "tool_calls"
)

// Answer is being written. It is for one goroutine, except for Cancel.
type Answer struct {
	m        *Model
	stream   Stream
	reader   *chat.Reader
	decoder  *tokenizer.Stream
	stop     stopper
	logProbs bool
	oneCall  bool
	turn     bool

	pending   []mark        // tokens whose text is undecided
	seen      [chat.End]int // bytes of text read, by part
	gave      int           // bytes of content that the reader gave out
	kept      int           // and that went into events
	events    []Event       // not returned yet
	ids       []int32       // drawn since the last event
	finish    Finish
	tokens    int
	reasoning int
	prompt    int
	err       error
}

// mark is a token, and where its text begins in its part.
type mark struct {
	token generate.Token
	part  chat.Part
	start int
}

// Submit asks for an answer. The error is the engine's, or says what is wrong with
// the request.
func (m *Model) Submit(r Request) (*Answer, error) {
	for _, text := range r.Stop {
		if text == "" || len(text) > MaxStop {
			return nil, fmt.Errorf("answer: a stop text has %d bytes, want 1 to %d", len(text), MaxStop)
		}
	}
	a := &Answer{
		m: m, decoder: m.tok.NewStream(), stop: stopper{texts: r.Stop}, logProbs: r.LogProbs, oneCall: r.OneCall, turn: r.Turn,
		prompt: len(r.Tokens),
	}
	enc := m.enc
	if !r.Turn {
		enc = chat.Plain{}
	}
	a.reader = chat.NewReader(enc, r.Thinking, r.Calls)
	for _, p := range r.begun {
		a.read(p.Text, p.Special)
	}
	g := generate.Request{Prompt: r.Tokens, MaxTokens: r.MaxTokens, Stop: [][]int32{{m.eos}}, Sampling: r.Sampling}
	if r.LogProbs {
		g.TopLogProbs = r.Top
	}
	if r.Score {
		g.Score = 1
	}
	var err error
	a.stream, err = m.engine.Submit(g)
	return a, err
}

// Cancel ends the answer; it may be called at any time, and twice.
func (a *Answer) Cancel() { a.stream.Cancel() }

// Finish returns why the answer ended, once Next has returned io.EOF.
func (a *Answer) Finish() Finish { return a.finish }

// Calls returns how many tool calls are complete: one more may have begun.
func (a *Answer) Calls() int { return a.reader.Calls() }

// Rest returns the tokens that were drawn after the last event: at the end those
// without text, such as the one that ends a turn.
func (a *Answer) Rest() []int32 { return a.ids }

// Scored returns the log-probabilities of the prompt's tokens but the first, if the
// request asked for them, once there is an event or the end.
func (a *Answer) Scored() []float32 { return a.stream.Result().Scored }

// Tokens returns how many tokens the prompt has, how many the answer so far, and
// how many of these are reasoning.
func (a *Answer) Tokens() (prompt, answer, reasoning int) { return a.prompt, a.tokens, a.reasoning }

// Next returns what was written next, as soon as it is decided what it is. At the
// end it returns io.EOF, or what went wrong.
func (a *Answer) Next(ctx context.Context) (Event, error) {
	for len(a.events) == 0 {
		if a.finish != "" {
			return Event{}, io.EOF
		}
		if a.err != nil {
			return Event{}, a.err
		}
		t, err := a.stream.Next(ctx)
		switch {
		case err == nil:
			a.take(t)
		case errors.Is(err, io.EOF):
			a.close()
		default:
			a.err = err
			a.stream.Cancel()
		}
	}
	e := a.events[0]
	a.events = a.events[1:]
	e.IDs, a.ids = a.ids, nil
	return e, nil
}

// take reads a token.
func (a *Answer) take(t generate.Token) {
	a.tokens++
	a.ids = append(a.ids, t.ID)
	part := a.reader.Part()
	if part == chat.Reasoning {
		a.reasoning++
	}
	if slices.Contains(a.m.ends, t.ID) {
		a.text(a.decoder.Flush())
		a.special(a.eos())
		a.end()
		return
	}
	if a.logProbs && part != chat.Calls {
		a.pending = append(a.pending, mark{t, part, a.seen[part]})
	}
	if name, ok := a.m.specials[t.ID]; ok && a.turn {
		a.text(a.decoder.Flush())
		a.special(name)
	} else {
		a.text(a.decoder.Push(t.ID))
	}
	if a.oneCall && a.reader.Calls() > 0 {
		a.finishWith(Tools)
	}
}

// eos is what the reader knows as the end, whichever token it was.
func (a *Answer) eos() string {
	if !a.turn {
		return chat.Plain{}.EOS()
	}
	return a.m.enc.EOS()
}

func (a *Answer) text(text string)    { a.read(text, false) }
func (a *Answer) special(name string) { a.read(name, true) }

// read takes text into the message.
func (a *Answer) read(text string, special bool) {
	if text == "" || a.finish != "" {
		return
	}
	before := a.reader.Part()
	a.seen[before] += len(text)
	a.give(a.reader.Push(text, special))
	if before == chat.Calls && a.reader.Part() != chat.Calls { // a block went wrong and is text
		a.seen[chat.Content] = a.reader.Passed(chat.Content)
	}
}

// give makes events of what the reader gave out, up to a stop text.
func (a *Answer) give(deltas []chat.Delta) {
	for _, d := range deltas {
		if d.Part == chat.Content {
			a.gave += len(d.Text)
			text, hit := a.stop.push(d.Text)
			a.content(text)
			if hit {
				a.finishWith(Stop)
				return
			}
			continue
		}
		if d.Part == chat.Calls {
			a.content(a.stop.flush()) // no call completes a stop text
		}
		a.events = append(a.events, Event{Delta: d, Tokens: a.decided(d.Part)})
	}
	for _, part := range []chat.Part{chat.Reasoning, chat.Content} {
		if tokens := a.decided(part); len(tokens) > 0 { // of layout, or within a character
			a.events = append(a.events, Event{Delta: chat.Delta{Part: part}, Tokens: tokens})
		}
	}
}

func (a *Answer) content(text string) {
	if text == "" {
		return
	}
	a.kept += len(text)
	a.events = append(a.events, Event{Delta: chat.Delta{Part: chat.Content, Text: text}, Tokens: a.decided(chat.Content)})
}

// decided takes the tokens of a part whose text begins before what is decided.
func (a *Answer) decided(part chat.Part) []generate.Token {
	if len(a.pending) == 0 || part == chat.Calls {
		return nil
	}
	to := a.reader.Passed(part)
	if part == chat.Content {
		to += a.kept - a.gave
	}
	var out []generate.Token
	rest := a.pending[:0]
	for _, k := range a.pending {
		switch {
		case k.part != part:
			rest = append(rest, k)
		case k.start < to:
			out = append(out, k.token)
		case part == a.reader.Part():
			rest = append(rest, k)
		}
	}
	a.pending = rest
	return out
}

// end ends an answer as the model ended it.
func (a *Answer) end() {
	if a.finish != "" {
		return
	}
	a.content(a.stop.flush())
	a.finish = Stop
	if a.reader.Calls() > 0 {
		a.finish = Tools
	}
}

// finishWith ends an answer that the model would have gone on with.
func (a *Answer) finishWith(f Finish) {
	if a.finish == "" {
		a.finish = f
		a.stream.Cancel()
	}
}

// ErrCancelled is what an answer ends with that was cancelled.
var ErrCancelled = errors.New("answer: cancelled")

// close ends an answer whose stream ended without a token that says so.
func (a *Answer) close() {
	if a.stream.Result().Reason == generate.Cancelled {
		a.err = ErrCancelled
		return
	}
	a.text(a.decoder.Flush())
	if a.finish == "" {
		a.give(a.reader.Close())
		a.content(a.stop.flush())
	}
	if a.finish == "" {
		a.finish = Length
	}
}
