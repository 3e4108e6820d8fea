package answer

import (
	"errors"
	"fmt"
	"slices"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/arch"
)

// Model is an engine with the text side of its model. It is immutable and safe
// for concurrent use.
type Model struct {
	engine   Engine
	tok      *tokenizer.Tokenizer
	enc      chat.Encoding
	builder  *data.Builder
	specials map[int32]string // ids of the encoding's special tokens
	bos, eos int32
	ends     []int32 // tokens that end a sequence
	vocab    int
}

// New returns a model. The tokenizer must be the model's.
func New(e Engine, cfg *arch.Config, tok *tokenizer.Tokenizer, enc chat.Encoding) (*Model, error) {
	if n := tok.VocabSize(); n > cfg.VocabSize {
		return nil, fmt.Errorf("answer: the tokenizer has %d tokens, the model %d: they do not belong together", n, cfg.VocabSize)
	}
	m := &Model{engine: e, tok: tok, enc: enc, specials: map[int32]string{}, vocab: cfg.VocabSize}
	var err error
	// What messages say is text, whatever it spells out.
	if m.builder, err = data.NewBuilder(tok, enc, data.Options{LiteralSpecials: true}); err != nil {
		return nil, err
	}
	for _, name := range enc.Specials() {
		if id, ok := tok.Special(name); ok {
			m.specials[id] = name
		}
	}
	m.bos, _ = tok.Special(enc.BOS())
	m.eos, _ = tok.Special(enc.EOS())
	m.ends = []int32{m.eos, int32(cfg.EOS)}
	for _, id := range cfg.MoreEOS {
		m.ends = append(m.ends, int32(id))
	}
	return m, nil
}

// VocabSize returns how many tokens the model has.
func (m *Model) VocabSize() int { return m.vocab }

// Engine returns the engine.
func (m *Model) Engine() Engine { return m.engine }

// Encoding returns the encoding of conversations.
func (m *Model) Encoding() chat.Encoding { return m.enc }

// TokenBytes returns the bytes of a token: not always whole characters.
func (m *Model) TokenBytes(id int32) []byte { return m.tok.AppendDecode(nil, []int32{id}) }

// Text returns the text of tokens.
func (m *Model) Text(ids []int32) string { return m.tok.Decode(ids) }

// Prompt is what the model continues.
type Prompt struct {
	Tokens []int32
	// Turn says that what follows is an assistant's turn, and not just text;
	// Thinking that it begins with reasoning.
	Turn, Thinking bool
	// Calls says that tool calls are looked for in it.
	Calls bool
	// begun is what the turn begins with already.
	begun []chat.Piece
}

// Choice says whether a turn calls tools.
type Choice struct {
	// Never leaves calls as the text they are.
	Never bool
	// Must makes the turn a call, of the tool called Name if that is not empty.
	Must bool
	Name string
}

// ErrThinkingCall refuses a call that must be made after reasoning.
var ErrThinkingCall = errors.New("a call cannot be demanded in thinking mode, where the model decides after its reasoning: turn thinking off, or leave the choice to the model")

// Conversation returns the prompt for the next turn of c. Errors say which message
// breaks which rule.
func (m *Model) Conversation(c *chat.Conversation, choice Choice) (Prompt, error) {
	if err := m.answerable(c); err != nil {
		return Prompt{}, err
	}
	e, err := m.builder.Prompt(c)
	if err != nil {
		return Prompt{}, err
	}
	p := Prompt{Tokens: e.Tokens, Turn: true, Thinking: m.opensReasoning(e.Tokens)}
	for i := range c.Messages {
		p.Calls = p.Calls || len(c.Messages[i].Tools) > 0
	}
	p.Calls = p.Calls && !choice.Never
	if !choice.Must {
		return p, nil
	}
	v4, ok := m.enc.(chat.V4)
	switch {
	case !ok:
		return p, fmt.Errorf("the encoding %s has no tool calls", m.enc.Name())
	case p.Thinking:
		return p, ErrThinkingCall
	}
	p.begun = v4.CallPrefix(choice.Name)
	return p, m.begin(&p)
}

// Efforts are the names that [Model.Effort] knows, the least first.
var Efforts = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}

// Effort returns the nearest effort that the encoding has. Of the name none it is
// none, and the model should not think.
func (m *Model) Effort(name string) (e chat.Effort, known bool) {
	rank := slices.Index(Efforts, name)
	v4, ok := m.enc.(chat.V4)
	switch {
	case rank < 0:
		return "", false
	case rank == 0 || !ok:
		return "", true
	case rank >= 5:
		return chat.EffortMax, true
	case rank <= 2 && v4.Efforts0731:
		return chat.EffortLow, true
	}
	return chat.EffortHigh, true
}

// answerable refuses a conversation in which it is not the assistant's turn.
func (m *Model) answerable(c *chat.Conversation) error {
	n := len(c.Messages)
	if n == 0 {
		return fmt.Errorf("the conversation has no messages")
	}
	last := &c.Messages[n-1]
	if _, plain := m.enc.(chat.Plain); plain || last.Task != "" {
		return nil
	}
	switch {
	case last.Role == chat.Assistant && !last.Unfinished:
		return fmt.Errorf("messages[%d]: the last message is the assistant's: end with a user or tool message, or set \"prefix\": true to let the model continue it", n-1)
	case last.Role == chat.System || last.Role == chat.Reminder:
		return fmt.Errorf("messages[%d]: the last message is a %s message: end with a user or tool message", n-1, last.Role)
	}
	return nil
}

// begin appends what the turn begins with.
func (m *Model) begin(p *Prompt) error {
	for _, piece := range p.begun {
		if !piece.Special {
			p.Tokens = m.tok.AppendEncode(p.Tokens, piece.Text, false)
			continue
		}
		id, ok := m.tok.Special(piece.Text)
		if !ok {
			return fmt.Errorf("the tokenizer has no special token %s, which tool calls are written with", piece.Text)
		}
		p.Tokens = append(p.Tokens, id)
	}
	return nil
}

// opensReasoning reports whether the last special token of a prompt is the one
// that begins reasoning: text cannot hold it.
func (m *Model) opensReasoning(tokens []int32) bool {
	for _, id := range slices.Backward(tokens) {
		if name, ok := m.specials[id]; ok {
			return name == tokenizer.V4Think
		}
	}
	return false
}

// Continuation returns the prompt that lets the model continue a text: the token
// that begins a sequence, and the text, in which nothing is a special token.
func (m *Model) Continuation(text string) Prompt {
	return Prompt{Tokens: m.tok.AppendEncode([]int32{m.bos}, text, false)}
}
