package chat

// Plain writes no roles: BOS, then the messages one after the other, with EOS
// after each assistant message. It serves base models, whose prompts are plain
// text, and tests. Prompt and answer are tokenised separately, as they are when
// the model completes a prompt.
type Plain struct{}

// Name returns "plain".
func (Plain) Name() string { return "plain" }

// Version returns 1.
func (Plain) Version() int { return 1 }

// BOS returns the token every sequence begins with.
func (Plain) BOS() string { return bosToken }

// EOS returns the token that ends every assistant message.
func (Plain) EOS() string { return eosToken }

// Specials lists the tokens Plain can write.
func (Plain) Specials() []string { return []string{bosToken, eosToken} }

type plainScript struct{ conv *Conversation }

// Compile refuses what has no plain form: tools, reasoning, tasks.
func (Plain) Compile(c *Conversation) (Script, error) {
	for i := range c.Messages {
		m := &c.Messages[i]
		if err := m.checkFields(); err != nil {
			return nil, messageError(i, "%w", err)
		}
		switch {
		case m.Role != System && m.Role != User && m.Role != Assistant:
			return nil, messageError(i, "the plain encoding has no role %q: use system, user or assistant", m.Role)
		case m.Reasoning != "" || len(m.ToolCalls) > 0 || len(m.Tools) > 0 || m.ResponseFormat != nil || m.Task != "":
			return nil, messageError(i, "the plain encoding has no reasoning, tools, response_format or tasks: use deepseek-v4")
		}
	}
	if c.Thinking || c.Effort != "" {
		return nil, messageError(0, "the plain encoding has no thinking mode: use deepseek-v4")
	}
	return plainScript{c}, nil
}

// Render writes the first n messages; there is nothing to ask a base model with.
func (s plainScript) Render(dst []Piece, n int, _ bool) []Piece {
	w := writer{pieces: dst, message: -1}
	w.special(Frame, bosToken)
	for i := range n {
		m := &s.conv.Messages[i]
		w.message = i
		if m.Role != Assistant {
			w.plain(Text, m.Content)
			continue
		}
		w.plain(Content, m.Content)
		if !m.Unfinished {
			w.special(End, eosToken)
		}
	}
	return w.pieces
}

// Stable always holds.
func (plainScript) Stable() bool { return true }

// Parse reads text up to EOS.
func (Plain) Parse(completion []Piece, _ bool) (Message, error) {
	c := cursor{pieces: completion}
	text, stop := c.until()
	m := Message{Role: Assistant, Content: text}
	if stop != eosToken {
		return m, c.unexpected(stop, "the text must end with "+eosToken)
	}
	if !c.done() {
		return m, c.errorf("text after the end of the text")
	}
	return m, nil
}
