package console

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/serve/answer"
)

// Help lists the commands.
const Help = `/reset           begin a new conversation
/retry           take the last answer back and let it be written anew
/system TEXT     what the model is told before everything; without text: nothing
/think LEVEL     none, low, high, max, ... (on: as the model likes)
/temp X          temperature; 0 takes the most likely token
/seed N          same seed, same lines, same answers
/save FILE       keep the conversation as a line of JSON, as training data has it
/exit            end, as Ctrl-D does
//TEXT           a message that begins with a slash
A line that ends with a backslash goes on in the next.`

// command carries a command out. It reports whether it ends the conversation.
func (c *Console) command(ctx context.Context, text string) (end bool) {
	name, arg, _ := strings.Cut(text, " ")
	arg = strings.TrimSpace(arg)
	switch name {
	case "/help":
		c.note("%s", Help)
	case "/reset":
		c.messages = nil
		c.note("temper: a new conversation")
	case "/retry":
		c.retry(ctx)
	case "/system":
		c.o.System = arg
		c.note("temper: the system text has %d characters", len([]rune(arg)))
	case "/think":
		c.think(arg)
	case "/temp":
		c.temperature(arg)
	case "/seed":
		c.seed(arg)
	case "/save":
		c.save(arg)
	case "/exit", "/quit":
		return true
	default:
		c.note("temper: there is no command %s: /help lists them, and a message can begin with //", name)
	}
	return false
}

// retry lets the last answer be written anew, with other random numbers.
func (c *Console) retry(ctx context.Context) {
	n := len(c.messages)
	if n == 0 {
		c.note("temper: there is no answer yet")
		return
	}
	old := c.messages[n-1]
	c.messages = c.messages[:n-1]
	c.attempt++
	if !c.answer(ctx) {
		c.messages = append(c.messages, old)
		c.note("temper: the answer before stays")
	}
}

func (c *Console) think(level string) {
	if level == "on" {
		c.o.Thinking, c.o.Effort = true, ""
	} else if effort, ok := c.m.Effort(level); ok {
		c.o.Thinking, c.o.Effort = level != "none", effort
	} else {
		c.note("temper: /think is %q, want on, %s", level, strings.Join(answer.Efforts, ", "))
		return
	}
	if _, plain := c.m.Encoding().(chat.Plain); plain && c.o.Thinking {
		c.o.Thinking = false
		c.note("temper: the encoding plain has no thinking mode")
		return
	}
	c.note("temper: thinking is %s", map[bool]string{true: "on", false: "off"}[c.o.Thinking])
}

func (c *Console) temperature(arg string) {
	s := c.o.Sampling
	x, err := strconv.ParseFloat(arg, 32)
	if s.Temperature = float32(x); err == nil {
		err = s.Check()
	}
	if err != nil {
		c.note("temper: /temp is %q, want 0 or 0.001 to 1000; it is %v", arg, c.o.Sampling.Temperature)
		return
	}
	c.o.Sampling = s
	c.note("temper: temperature %v", s.Temperature)
}

func (c *Console) seed(arg string) {
	if arg != "" {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			c.note("temper: /seed is %q, want a whole number from 0", arg)
			return
		}
		c.o.Sampling.Seed = n
	}
	c.note("temper: seed %d", c.o.Sampling.Seed)
}

// row is a conversation as training data has it.
type row struct {
	Messages []rowMessage `json:"messages"`
	Mode     string       `json:"thinking_mode"`
}

type rowMessage struct {
	Role      chat.Role `json:"role"`
	Content   string    `json:"content"`
	Reasoning string    `json:"reasoning_content,omitempty"`
}

func (c *Console) save(name string) {
	if name == "" || len(c.messages) == 0 {
		c.note("temper: /save needs a file, and something to keep")
		return
	}
	var r row
	for _, m := range c.conversation().Messages {
		r.Messages = append(r.Messages, rowMessage{m.Role, m.Content, m.Reasoning})
	}
	r.Mode = "chat"
	if slices.ContainsFunc(r.Messages, func(m rowMessage) bool { return m.Reasoning != "" }) {
		r.Mode = "thinking"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(r)
	if err == nil {
		err = c.o.Save(name, b.Bytes())
	}
	if err != nil {
		c.note("temper: not saved: %v", err)
		return
	}
	c.note("temper: %d messages are in %s", len(r.Messages), name)
}
