package chat

import "strings"

// V3 is the encoding of DeepSeek-V3 and, in thinking mode, of DeepSeek-R1:
//
//	BOS system <｜User｜>text<｜Assistant｜>answer<｜end▁of▁sentence｜>
//	BOS system <｜User｜>text<｜Assistant｜><think>\nreasoning\n</think>\n\nanswer<｜end▁of▁sentence｜>
//
// Reasoning is written for the last turn only, unless KeepReasoning is set.
// Tools are not supported.
type V3 struct{}

// Name returns "deepseek-v3".
func (V3) Name() string { return "deepseek-v3" }

// Version returns 1.
func (V3) Version() int { return 1 }

// BOS returns the token every sequence begins with.
func (V3) BOS() string { return bosToken }

// EOS returns the token that ends every assistant turn.
func (V3) EOS() string { return eosToken }

// Specials lists the tokens V3 can write.
func (V3) Specials() []string {
	return []string{bosToken, eosToken, userToken, assistToken, thinkToken, thinkEndToken}
}

type v3Script struct{ conv *Conversation }

// Compile checks the conversation.
func (V3) Compile(c *Conversation) (Script, error) {
	for i := range c.Messages {
		m := &c.Messages[i]
		if err := m.checkFields(); err != nil {
			return nil, messageError(i, "%w", err)
		}
		switch {
		case m.Role != System && m.Role != User && m.Role != Assistant:
			return nil, messageError(i, "deepseek-v3 has no role %q: use system, user or assistant", m.Role)
		case m.Role == System && i > 0:
			return nil, messageError(i, "deepseek-v3 takes a system message at the beginning only")
		case len(m.ToolCalls) > 0 || len(m.Tools) > 0 || m.ResponseFormat != nil || m.Task != "":
			return nil, messageError(i, "deepseek-v3 is supported without tools, response_format and tasks: use deepseek-v4")
		}
	}
	if c.Effort != "" {
		return nil, messageError(0, "deepseek-v3 has no reasoning effort %q", c.Effort)
	}
	return v3Script{c}, nil
}

// Render writes the first n messages.
func (s v3Script) Render(dst []Piece, n int, prompt bool) []Piece {
	w := writer{pieces: dst, message: -1}
	w.special(Frame, bosToken)
	for i := range n {
		m := &s.conv.Messages[i]
		w.message = i
		switch m.Role {
		case System:
			w.plain(Text, m.Content)
		case User:
			w.special(Frame, userToken)
			w.plain(Text, m.Content)
			thinks := s.conv.Thinking && (s.conv.KeepReasoning || i+2 >= n)
			if i+1 < n && s.conv.Messages[i+1].Role == Assistant || i+1 == n && prompt {
				w.special(Frame, assistToken)
				if thinks {
					w.special(Frame, thinkToken)
					w.plain(Frame, "\n")
				}
			}
		case Assistant:
			if s.conv.Thinking && (s.conv.KeepReasoning || i+1 == n) {
				w.plain(Reasoning, m.Reasoning)
				w.plain(Reasoning, "\n")
				w.special(Reasoning, thinkEndToken)
				w.plain(Reasoning, "\n\n")
			}
			w.plain(Content, m.Content)
			if !m.Unfinished {
				w.special(End, eosToken)
			}
		}
	}
	return w.pieces
}

// Stable holds where no reasoning is dropped.
func (s v3Script) Stable() bool { return !s.conv.Thinking || s.conv.KeepReasoning }

// Parse reads an assistant turn.
func (V3) Parse(completion []Piece, thinking bool) (Message, error) {
	c := cursor{pieces: completion}
	m := Message{Role: Assistant}
	if thinking {
		reasoning, stop := c.until()
		if stop != thinkEndToken {
			return m, c.unexpected(stop, "the reasoning must end with "+thinkEndToken)
		}
		m.Reasoning = strings.Trim(reasoning, "\n")
	}
	content, stop := c.until()
	m.Content = content
	if thinking {
		m.Content = strings.TrimLeft(content, "\n")
	}
	if stop != eosToken {
		return m, c.unexpected(stop, "the turn must end with "+eosToken)
	}
	if !c.done() {
		return m, c.errorf("text after the end of the turn")
	}
	return m, nil
}
