package data

import (
	"fmt"
	"strings"

	"github.com/temper-ml/temper/data/chat"
)

// Builder makes examples: it renders, tokenises and masks. It is safe for
// concurrent use.
type Builder struct {
	tok      Tokenizer
	enc      chat.Encoding
	opts     Options
	names    []string // the encoding's special tokens
	specials map[string]int32
	bos, eos int32
}

// NewBuilder returns a builder. The tokenizer must know the encoding's BOS and
// EOS; its other special tokens are needed when a row uses them.
func NewBuilder(tok Tokenizer, enc chat.Encoding, o Options) (*Builder, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	b := &Builder{tok: tok, enc: enc, opts: o, names: enc.Specials(), specials: map[string]int32{}}
	for _, name := range b.names {
		if id, ok := tok.Special(name); ok {
			b.specials[name] = id
		}
	}
	for _, need := range []struct {
		name string
		id   *int32
	}{{enc.BOS(), &b.bos}, {enc.EOS(), &b.eos}} {
		id, ok := b.specials[need.name]
		if !ok {
			return nil, fmt.Errorf("data: the tokenizer has no special token %s, which the encoding %s begins or ends with", need.name, enc.Name())
		}
		*need.id = id
	}
	return b, nil
}

// Conversation returns the examples of a conversation: one, or with
// UnrollHistory perhaps one for each learnt turn.
func (b *Builder) Conversation(c *chat.Conversation) ([]Example, error) {
	script, err := b.compile(c)
	if err != nil {
		return nil, err
	}
	n := len(c.Messages)
	full := script.Render(nil, n, false)
	turns := b.learnt(c)
	if len(turns) == 0 {
		return nil, refuse("give an assistant message that is to be learnt", "the conversation has no assistant turn to learn")
	}
	rewritten := b.rewritten(script, full, turns, n)
	if rewritten < 0 {
		e, err := b.example(full, turns)
		return []Example{e}, err
	}
	if b.opts.History != UnrollHistory {
		return nil, refuse("set turns to last, history to unroll, or keep_reasoning",
			"messages[%d] cannot be learnt in this row: the text before it changes once later messages follow (earlier reasoning is dropped)", rewritten)
	}
	examples := make([]Example, 0, len(turns))
	for _, i := range turns {
		e, err := b.example(script.Render(nil, i+1, false), []int{i})
		if err != nil {
			return nil, err
		}
		examples = append(examples, e)
	}
	return examples, nil
}

// End returns the token that ends a turn.
func (b *Builder) End() int32 { return b.eos }

// Prompt returns the tokens that ask for the next turn of c; nothing is learnt.
func (b *Builder) Prompt(c *chat.Conversation) (Example, error) {
	script, err := b.compile(c)
	if err != nil {
		return Example{}, err
	}
	return b.example(script.Render(nil, len(c.Messages), true), nil)
}

// Completion returns a conversation of which only what follows the first n
// messages is learnt: one side of a preference.
func (b *Builder) Completion(c *chat.Conversation, n int) (Example, error) {
	script, err := b.compile(c)
	if err != nil {
		return Example{}, err
	}
	full := script.Render(nil, len(c.Messages), false)
	turns := b.learnt(c)
	for len(turns) > 0 && turns[0] < n {
		turns = turns[1:]
	}
	if len(turns) == 0 {
		return Example{}, refuse("", "nothing of the completion is to be learnt")
	}
	if i := b.rewritten(script, full, turns, len(c.Messages)); i >= 0 {
		return Example{}, refuse("set keep_reasoning", "messages[%d] cannot be learnt in this row: the text before it changes once later messages follow", i)
	}
	return b.example(full, turns)
}

// Document returns BOS, the text and EOS, everything but BOS learnt.
func (b *Builder) Document(text string) Example {
	body := b.tok.Encode(text, false)
	e := Example{Tokens: make([]int32, 0, len(body)+2), Mask: make([]bool, len(body)+2)}
	e.Tokens = append(append(append(e.Tokens, b.bos), body...), b.eos)
	for i := 1; i < len(e.Mask); i++ {
		e.Mask[i] = true
	}
	return e
}

// Parse reads a completion from its tokens: what the model wrote after a prompt,
// up to and including the end of turn. Text that only spells out a special token
// is text.
func (b *Builder) Parse(completion []int32, thinking bool) (chat.Message, error) {
	names := make(map[int32]string, len(b.specials))
	for name, id := range b.specials {
		names[id] = name
	}
	var pieces []chat.Piece
	for lo := 0; lo < len(completion); {
		if name, ok := names[completion[lo]]; ok {
			pieces = append(pieces, chat.Piece{Text: name, Special: true, Message: -1})
			lo++
			continue
		}
		hi := lo + 1
		for hi < len(completion) && names[completion[hi]] == "" {
			hi++
		}
		pieces = append(pieces, chat.Piece{Text: b.tok.Decode(completion[lo:hi]), Message: -1})
		lo = hi
	}
	return b.enc.Parse(pieces, thinking)
}

func (b *Builder) compile(c *chat.Conversation) (chat.Script, error) {
	if !b.opts.LiteralSpecials {
		for i := range c.Messages {
			m := &c.Messages[i]
			if m.Role != chat.Assistant {
				continue
			}
			if name := b.literal(m.Content); name != "" {
				return nil, refuse("set split_think for <think> blocks, clean the text, or set literal_specials",
					"messages[%d]: the answer spells out the special token %s, which would be learnt as ordinary text", i, name)
			}
			if name := b.literal(m.Reasoning); name != "" {
				return nil, refuse("clean the text, or set literal_specials",
					"messages[%d]: the reasoning spells out the special token %s, which would be learnt as ordinary text", i, name)
			}
		}
	}
	return b.enc.Compile(c)
}

// literal returns a special token that text spells out, or "".
func (b *Builder) literal(text string) string {
	if !strings.ContainsAny(text, "<｜") {
		return ""
	}
	for _, name := range b.names {
		if strings.Contains(text, name) {
			return name
		}
	}
	return ""
}

// learnt returns the assistant messages to learn.
func (b *Builder) learnt(c *chat.Conversation) []int {
	var turns []int
	for i := range c.Messages {
		if m := &c.Messages[i]; m.Role == chat.Assistant && !m.Untrained {
			turns = append(turns, i)
		}
	}
	if b.opts.Turns == LastTurn && len(turns) > 0 {
		turns = turns[len(turns)-1:]
	}
	return turns
}

// rewritten returns the first learnt turn whose context in the whole row is not
// what the model is given when it produces the turn, or -1. Only a script whose
// text may change has to be rendered again, and rendering stops at the first
// turn that differs; nothing is tokenised more than once.
func (b *Builder) rewritten(script chat.Script, full []chat.Piece, turns []int, n int) int {
	if script.Stable() {
		return -1
	}
	var scratch []chat.Piece
	for _, i := range turns {
		scratch = script.Render(scratch[:0], i, true)
		if !begins(full, scratch) {
			return i
		}
		if i+1 == n {
			continue
		}
		scratch = script.Render(scratch[:0], i+1, false)
		if !begins(full, scratch) {
			return i
		}
	}
	return -1
}

func begins(full, prefix []chat.Piece) bool {
	if len(prefix) > len(full) {
		return false
	}
	for i := range prefix {
		if full[i].Special != prefix[i].Special || full[i].Text != prefix[i].Text {
			return false
		}
	}
	return true
}

// example tokenises pieces, learning the generated ones of the given turns.
func (b *Builder) example(pieces []chat.Piece, turns []int) (Example, error) {
	e := sized(pieces)
	var joined []byte
	for i := 0; i < len(pieces); {
		p := pieces[i]
		learnt := b.supervised(p, turns)
		if p.Special {
			id, ok := b.specials[p.Text]
			if !ok {
				return e, refuse("add it to the tokenizer, or choose another encoding", "the tokenizer has no special token %s", p.Text)
			}
			e.Tokens = append(e.Tokens, id)
			e.mark(learnt)
			i++
			continue
		}
		text, end := p.Text, i+1
		if end < len(pieces) && sameRun(p, pieces[end]) {
			joined = append(joined[:0], text...)
			for ; end < len(pieces) && sameRun(p, pieces[end]); end++ {
				joined = append(joined, pieces[end].Text...)
				learnt = learnt || b.supervised(pieces[end], turns)
			}
			text = string(joined)
		}
		e.Tokens = b.encode(e.Tokens, text)
		e.mark(learnt)
		i = end
	}
	if len(e.Mask) > 0 {
		e.Mask[0] = false
	}
	return e, nil
}

// sized returns an example with room for about as many tokens as pieces give.
func sized(pieces []chat.Piece) Example {
	n := len(pieces)
	for _, p := range pieces {
		n += len(p.Text) / 4
	}
	return Example{Tokens: make([]int32, 0, n), Mask: make([]bool, 0, n)}
}

// sameRun reports whether q continues the run of plain text that p is in.
func sameRun(p, q chat.Piece) bool {
	return !q.Special && p.Generated() == q.Generated() && (!p.Generated() || p.Message == q.Message)
}

func (b *Builder) supervised(p chat.Piece, turns []int) bool {
	if !p.Generated() || p.Part == chat.Reasoning && b.opts.SkipReasoning {
		return false
	}
	for _, i := range turns {
		if i == p.Message {
			return true
		}
	}
	return false
}

// appender is what a Tokenizer may offer to save an allocation a run.
type appender interface {
	AppendEncode(dst []int32, text string, special bool) []int32
}

func (b *Builder) encode(dst []int32, text string) []int32 {
	if a, ok := b.tok.(appender); ok {
		return a.AppendEncode(dst, text, false)
	}
	return append(dst, b.tok.Encode(text, false)...)
}

// mark gives the tokens that have no mask yet the mask learnt.
func (e *Example) mark(learnt bool) {
	for len(e.Mask) < len(e.Tokens) {
		e.Mask = append(e.Mask, learnt)
	}
}
