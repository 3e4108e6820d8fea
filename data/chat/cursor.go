package chat

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ErrUnfinished marks a completion that stopped before the end of its turn:
// well formed as far as it goes, cut by a length limit.
var ErrUnfinished = errors.New("the completion stops before the end of the turn")

// ParseError says which rule a completion breaks, and where.
type ParseError struct {
	Offset int    // bytes of rendered text before the place
	Rule   string // what is wrong, lower case
	Cause  error  // ErrUnfinished, or nil
}

// Error returns the rule and the place.
func (e *ParseError) Error() string {
	return fmt.Sprintf("chat: completion: byte %d: %s", e.Offset, e.Rule)
}

// Unwrap returns the cause.
func (e *ParseError) Unwrap() error { return e.Cause }

// cursor walks over the pieces of a completion.
type cursor struct {
	pieces []Piece
	at     int
	offset int
}

// until returns the plain text up to the next special token and that token's
// name, both consumed; the name is empty at the end.
func (c *cursor) until() (text, special string) {
	start := c.at
	for c.at < len(c.pieces) && !c.pieces[c.at].Special {
		c.offset += len(c.pieces[c.at].Text)
		c.at++
	}
	if c.at-start == 1 {
		text = c.pieces[start].Text
	} else {
		text = Join(c.pieces[start:c.at])
	}
	if c.at < len(c.pieces) {
		special = c.pieces[c.at].Text
		c.offset += len(special)
		c.at++
	}
	return text, special
}

// back un-reads the special token that until returned last.
func (c *cursor) back() {
	if c.at > 0 && c.pieces[c.at-1].Special {
		c.at--
		c.offset -= len(c.pieces[c.at].Text)
	}
}

func (c *cursor) done() bool {
	for _, p := range c.pieces[c.at:] {
		if p.Text != "" {
			return false
		}
	}
	return true
}

func (c *cursor) errorf(format string, args ...any) error {
	return &ParseError{Offset: c.offset, Rule: fmt.Sprintf(format, args...)}
}

// unexpected reports a special token, or the end, where rule wants another.
func (c *cursor) unexpected(special, rule string) error {
	if special == "" {
		return &ParseError{c.offset, rule + ": " + ErrUnfinished.Error(), ErrUnfinished}
	}
	return c.errorf("%s, got %s", rule, special)
}

// tail returns the end of text, short enough for an error message.
func tail(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	text = text[len(text)-most:]
	for len(text) > 0 && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return "..." + strings.ToValidUTF8(text, "�")
}
