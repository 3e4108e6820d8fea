package console

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
)

// Options say how answers are written, and to whom.
type Options struct {
	System   string
	Thinking bool
	Effort   chat.Effort
	Sampling generate.Sampling
	// MaxTokens bounds an answer: what is left of the context.
	MaxTokens int
	// Out is for answers, Notes for everything else.
	Out, Notes io.Writer
	// Terminal says that a person reads along: there are prompts and times, what is
	// thought is dim, and control characters in answers are shown, not obeyed.
	Terminal bool
	// Interrupts stop the answer that is being written.
	Interrupts <-chan struct{}
	// Save keeps a conversation in a file.
	Save func(name string, b []byte) error
	// Now is the clock of the notes.
	Now func() time.Time
}

// Console is a conversation.
type Console struct {
	m        *answer.Model
	o        Options
	messages []chat.Message
	attempt  uint64 // of the last answer
}

// New returns a conversation that has not begun.
func New(m *answer.Model, o Options) *Console { return &Console{m: m, o: o} }

// maxLine is how many bytes a message has.
const maxLine = 16 << 20

// line is what was typed, or why nothing more will be.
type line struct {
	text string
	err  error
}

// Run answers lines until they end, or a command ends it. An answer that fails is
// told, and is no error.
func (c *Console) Run(ctx context.Context, in io.Reader) error {
	next, lines := make(chan struct{}), make(chan line)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go read(ctx, bufio.NewReader(in), next, lines) // stays until the line it waits for
	if c.o.Terminal {
		c.note("/help lists commands, Ctrl-C stops an answer, Ctrl-D ends")
	}
	for {
		c.prompt("> ")
		select {
		case next <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		l, err := c.message(ctx, next, lines)
		switch {
		case errors.Is(err, io.EOF):
			c.prompt("\n")
			return nil
		case err != nil:
			return err
		case l == "":
		case strings.HasPrefix(l, "/") && !strings.HasPrefix(l, "//"):
			if end := c.command(ctx, l); end {
				return nil
			}
		default:
			c.Ask(ctx, strings.TrimPrefix(l, "/"))
		}
	}
}

// message waits for a message: a line, with those that it continues on.
func (c *Console) message(ctx context.Context, next chan<- struct{}, lines <-chan line) (string, error) {
	var text strings.Builder
	for {
		select {
		case l := <-lines:
			more := strings.HasSuffix(l.text, "\\")
			text.WriteString(strings.TrimSuffix(l.text, "\\"))
			if text.Len() > maxLine {
				return "", fmt.Errorf("a message has more than %d bytes", maxLine)
			}
			if !more || l.err != nil {
				if l.err != nil && text.Len() == 0 {
					return "", l.err
				}
				return strings.TrimSpace(text.String()), nil
			}
			text.WriteByte('\n')
			c.prompt("  ")
			next <- struct{}{}
		case <-c.o.Interrupts:
			text.Reset()
			c.note("\n/exit or Ctrl-D ends")
			c.prompt("> ")
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// read reads a line each time it is asked for one.
func read(ctx context.Context, in *bufio.Reader, next <-chan struct{}, lines chan<- line) {
	for {
		select {
		case <-next:
		case <-ctx.Done():
			return
		}
		var text []byte
		err := error(nil)
		for err == nil && len(text) <= maxLine {
			var part []byte
			part, err = in.ReadSlice('\n')
			text = append(text, part...)
			if err == nil {
				break
			}
			if errors.Is(err, bufio.ErrBufferFull) {
				err = nil
			}
		}
		select {
		case lines <- line{strings.ToValidUTF8(strings.TrimRight(string(text), "\r\n"), "\uFFFD"), err}:
		case <-ctx.Done():
			return
		}
	}
}

// prompt shows a text to a person.
func (c *Console) prompt(text string) {
	if c.o.Terminal {
		fmt.Fprint(c.o.Notes, text)
	}
}

// note tells something that is no answer.
func (c *Console) note(format string, args ...any) {
	c.dim(fmt.Sprintf(format, args...))
	fmt.Fprintln(c.o.Notes)
}

func (c *Console) dim(text string) {
	if c.o.Terminal {
		text = "\x1b[2m" + shown(text) + "\x1b[0m"
	}
	fmt.Fprint(c.o.Notes, text)
}

// shown is a text in which no character moves a cursor or changes a colour.
func shown(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
		case r < 0x20:
			return 0x2400 + r // its picture
		case r == 0x7f:
			return 0x2421
		case r >= 0x80 && r < 0xa0:
			return '\uFFFD'
		}
		return r
	}, text)
}
