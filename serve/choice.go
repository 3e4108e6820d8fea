package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
)

// choice is one answer of a request.
type choice struct {
	x      *exchange
	index  int
	prompt int
	a      *answer.Answer
	ids    [sha256.Size]byte // what the names of its calls are made of

	content, reasoning  strings.Builder
	calls               []*toolCall
	arguments           []*strings.Builder // of the calls
	contentLP, reasonLP []tokenLP
	textLP              *textLP
	characters          int    // before the next token, of a text
	partial             []byte // the beginning of a character
	tokens              []int32
	scored              bool // the echo's log-probabilities are told
}

// toolCall is a call in OpenAI's form; in a stream, a part of one.
type toolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function functionCall `json:"function"`
}

type functionCall struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

// tokenLP is a token with its log-probability, in the form of chats. Numbers are
// written so that they are read back to the same bits.
type tokenLP struct {
	Token   string     `json:"token"`
	LogProb float32    `json:"logprob"`
	Bytes   []int      `json:"bytes"`
	Top     []*tokenLP `json:"top_logprobs,omitzero"`
}

// textLP are tokens in the form of completions.
type textLP struct {
	Tokens  []string             `json:"tokens"`
	LogProb []*float32           `json:"token_logprobs"` // null of a first token
	Top     []map[string]float32 `json:"top_logprobs"`
	Offset  []int                `json:"text_offset"`
}

func newChoice(x *exchange, index, prompt int, a *answer.Answer) *choice {
	c := &choice{x: x, index: index, prompt: prompt, a: a}
	h := sha256.New()
	for _, id := range x.ask.prompts[prompt].Tokens {
		_ = binary.Write(h, binary.LittleEndian, id)
	}
	_ = binary.Write(h, binary.LittleEndian, []int64{x.ask.seed, int64(index)})
	h.Sum(c.ids[:0])
	c.content.WriteString(x.ask.echo[prompt])
	if !x.ask.scored {
		c.characters = utf8.RuneCountInString(x.ask.echo[prompt])
	}
	return c
}

// scoreEcho tells the log-probabilities of the prompt, before those of the answer;
// nil if they were not asked for, or were told.
func (c *choice) scoreEcho() *textLP {
	if !c.x.ask.scored || c.scored {
		return nil
	}
	c.scored = true
	ids, scores := c.x.ask.prompts[c.prompt].Tokens, c.a.Scored()
	tokens := make([]generate.Token, len(ids))
	for i, id := range ids {
		tokens[i].ID = id
		if i > 0 && i <= len(scores) {
			tokens[i].LogProb = scores[i-1]
		}
	}
	if c.x.ask.texts[c.prompt] {
		return c.textLPOf(tokens[1:])
	}
	l := c.textLPOf(tokens)
	l.LogProb[0] = nil // nothing comes before it
	return l
}

// callID names a call: by the request and the seed, as the answer itself.
func (c *choice) callID(n int) string {
	sum := sha256.Sum256(binary.LittleEndian.AppendUint64(c.ids[:], uint64(n)))
	return "call_" + hex.EncodeToString(sum[:12])
}

// add takes what came into the answer.
func (c *choice) add(e answer.Event) {
	c.tokens = append(c.tokens, e.IDs...)
	switch e.Part {
	case chat.Reasoning:
		c.reasoning.WriteString(e.Text)
		c.reasonLP = append(c.reasonLP, c.chatLP(e.Tokens)...)
	case chat.Content:
		c.content.WriteString(e.Text)
		if c.x.kind == "chat" {
			c.contentLP = append(c.contentLP, c.chatLP(e.Tokens)...)
		} else {
			c.textLP = c.textLP.with(c.scoreEcho()).with(c.textLPOf(e.Tokens))
		}
	case chat.Calls:
		if e.Name != "" {
			c.calls = append(c.calls, &toolCall{ID: c.callID(e.Call), Type: "function", Function: functionCall{Name: e.Name}})
			c.arguments = append(c.arguments, &strings.Builder{})
		}
		c.arguments[e.Call].WriteString(e.Text)
	}
}

func (l *textLP) with(more *textLP) *textLP {
	switch {
	case l == nil:
		return more
	case more == nil:
		return l
	}
	l.Tokens, l.LogProb = append(l.Tokens, more.Tokens...), append(l.LogProb, more.LogProb...)
	l.Top, l.Offset = append(l.Top, more.Top...), append(l.Offset, more.Offset...)
	return l
}

// finite is a log-probability that JSON can hold.
func finite(p float32) float32 {
	if math.IsInf(float64(p), 0) || math.IsNaN(float64(p)) {
		return -9999
	}
	return p
}

func (c *choice) tokenLP(id int32, p float32) *tokenLP {
	b := c.x.s.m.TokenBytes(id)
	t := &tokenLP{Token: strings.ToValidUTF8(string(b), "\uFFFD"), LogProb: finite(p), Bytes: make([]int, len(b))}
	for i := range b {
		t.Bytes[i] = int(b[i])
	}
	return t
}

// chatLP are tokens in the form of chats.
func (c *choice) chatLP(tokens []generate.Token) []tokenLP {
	var out []tokenLP
	for i := range tokens {
		t := c.tokenLP(tokens[i].ID, tokens[i].LogProb)
		t.Top = []*tokenLP{}
		for _, k := range tokens[i].Top {
			t.Top = append(t.Top, c.tokenLP(k.ID, k.LogProb))
		}
		out = append(out, *t)
	}
	return out
}

// textLPOf are tokens in the form of completions, nil if there are none.
func (c *choice) textLPOf(tokens []generate.Token) *textLP {
	if len(tokens) == 0 {
		return nil
	}
	l := &textLP{}
	for i := range tokens {
		t := &tokens[i]
		l.Tokens, l.LogProb = append(l.Tokens, c.tokenText(t.ID)), append(l.LogProb, new(finite(t.LogProb)))
		l.Offset = append(l.Offset, c.characters)
		if c.x.ask.one.Top > 0 {
			top := map[string]float32{}
			for _, k := range t.Top {
				top[c.tokenText(k.ID)] = finite(k.LogProb)
			}
			l.Top = append(l.Top, top)
		}
		c.partial = append(c.partial, c.x.s.m.TokenBytes(t.ID)...)
		for len(c.partial) > 0 && utf8.FullRune(c.partial) {
			_, n := utf8.DecodeRune(c.partial)
			c.partial = c.partial[n:]
			c.characters++
		}
	}
	return l
}

// tokenText is a token's text; where that is no whole character, its bytes.
func (c *choice) tokenText(id int32) string {
	b := c.x.s.m.TokenBytes(id)
	if utf8.Valid(b) {
		return string(b)
	}
	out := "bytes:"
	for _, x := range b {
		out += fmt.Sprintf("\\x%02x", x)
	}
	return out
}

// tokenIDs are tokens as numbers, for clients that asked for them: of a prompt, or
// of what an answer became longer by.
type tokenIDs struct {
	Prompt []int32 `json:"prompt_token_ids,omitzero"`
	IDs    []int32 `json:"token_ids,omitzero"`
}

// idsOf tells tokens if the client asked for them.
func (c *choice) idsOf(prompt bool, ids ...[]int32) (t tokenIDs) {
	if !c.x.ask.ids {
		return t
	}
	if prompt {
		t.Prompt = c.x.ask.prompts[c.prompt].Tokens
	}
	t.IDs = slices.Concat([]int32{}, slices.Concat(ids...))
	return t
}
