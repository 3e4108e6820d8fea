package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/serve/answer"
)

// Ask adds a message of the user and lets the model answer. It reports whether
// there is an answer; without one the message is taken back.
func (c *Console) Ask(ctx context.Context, text string) bool {
	before := len(c.messages)
	c.messages = append(c.messages, chat.Message{Role: chat.User, Content: text})
	c.attempt = 0
	if c.answer(ctx) {
		return true
	}
	c.messages = c.messages[:before]
	return false
}

// conversation is what the model reads.
func (c *Console) conversation() *chat.Conversation {
	conv := &chat.Conversation{Thinking: c.o.Thinking, Effort: c.o.Effort}
	if c.o.System != "" {
		conv.Messages = append(conv.Messages, chat.Message{Role: chat.System, Content: c.o.System})
	}
	conv.Messages = append(conv.Messages, c.messages...)
	return conv
}

// answer lets the model answer the last message.
func (c *Console) answer(ctx context.Context) bool {
	for len(c.o.Interrupts) > 0 {
		<-c.o.Interrupts // from before
	}
	m, began, a, err := c.write(ctx)
	if err != nil {
		c.note("temper: %v", err)
		return false
	}
	prompt, tokens, _ := a.Tokens()
	if c.o.Terminal && tokens > 0 {
		took := c.o.Now().Sub(began)
		c.note("%d tokens after %d, %.1f a second", tokens, prompt, float64(tokens)/max(took.Seconds(), 1e-9))
	}
	switch {
	case m.Content == "" && len(m.ToolCalls) == 0:
		c.note("temper: there is no answer, so the message is taken back")
		return false
	case a.Finish() == answer.Length:
		c.note("temper: the answer is cut, after %d tokens", tokens)
	}
	c.messages = append(c.messages, m)
	return true
}

// write asks for an answer and shows it as it comes.
func (c *Console) write(ctx context.Context) (m chat.Message, began time.Time, a *answer.Answer, err error) {
	p, err := c.m.Conversation(c.conversation(), answer.Choice{})
	if err != nil {
		return m, began, nil, err
	}
	limit := c.m.Engine().Options().Context
	if len(p.Tokens) >= limit {
		return m, began, nil, fmt.Errorf("the conversation has %d tokens, the context is %d: /reset begins a new one", len(p.Tokens), limit)
	}
	r := answer.Request{Prompt: p, MaxTokens: c.o.MaxTokens, Sampling: c.o.Sampling}
	if r.MaxTokens == 0 {
		r.MaxTokens = limit
	}
	r.Sampling.Sample = c.attempt
	began = c.o.Now()
	if a, err = c.m.Submit(r); err != nil {
		return m, began, nil, err
	}
	defer a.Cancel()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.o.Interrupts:
			cancel()
		case <-ctx.Done():
		}
	}()
	m, err = c.listen(ctx, a)
	return m, began, a, err
}

// listen shows an answer until it ends or is stopped.
func (c *Console) listen(ctx context.Context, a *answer.Answer) (chat.Message, error) {
	m := chat.Message{Role: chat.Assistant}
	last := chat.Frame
	for {
		e, err := a.Next(ctx)
		if err != nil {
			if last == chat.Content {
				fmt.Fprintln(c.o.Out)
			} else if last != chat.Frame {
				fmt.Fprintln(c.o.Notes)
			}
			switch {
			case errors.Is(err, io.EOF):
				return m, nil
			case errors.Is(err, context.Canceled):
				c.note("temper: stopped")
				return m, nil
			}
			return m, err
		}
		if e.Text == "" && e.Name == "" {
			continue
		}
		if last == chat.Reasoning && e.Part != last {
			fmt.Fprintln(c.o.Notes)
		}
		last = e.Part
		c.show(&m, e)
	}
}

// show shows a part of an answer and adds it to the message.
func (c *Console) show(m *chat.Message, e answer.Event) {
	switch e.Part {
	case chat.Reasoning:
		m.Reasoning += e.Text
		c.dim(e.Text)
	case chat.Content:
		m.Content += e.Text
		text := e.Text
		if c.o.Terminal {
			text = shown(text)
		}
		fmt.Fprint(c.o.Out, text)
	}
}
