package chat

import (
	"fmt"
	"sort"
	"strings"
)

// Encoding is one model family's way to write conversations.
type Encoding interface {
	// Name is what recipes and caches call the encoding.
	Name() string
	// Version changes whenever the same conversation renders differently.
	Version() int
	// Specials lists every special token the encoding can write.
	Specials() []string
	// BOS and EOS name the tokens that begin and end a sequence of plain text.
	BOS() string
	EOS() string
	// Compile checks a conversation and prepares it for rendering. The
	// conversation must not change afterwards.
	Compile(c *Conversation) (Script, error)
	// Parse reads one completion: what the model wrote after the generation
	// prompt, up to and including the end of turn.
	Parse(completion []Piece, thinking bool) (Message, error)
}

// Script is a compiled conversation.
type Script interface {
	// Render appends the pieces of the first n messages to dst. With prompt, what
	// asks the model for the next turn follows; without, the text ends with
	// message n-1.
	Render(dst []Piece, n int, prompt bool) []Piece
	// Stable reports that the text never changes as the conversation goes on: for
	// every assistant message i, the prompt for it and the text up to its end
	// begin the whole text. A script that cannot tell says false.
	Stable() bool
}

var encodings = map[string]Encoding{
	"deepseek-v4":      V4{},
	"deepseek-v4-0731": V4{Efforts0731: true},
	"deepseek-v3":      V3{},
	"plain":            Plain{},
}

// Names lists the encodings that Lookup knows, sorted.
func Names() []string {
	names := make([]string, 0, len(encodings))
	for name := range encodings {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Lookup returns the encoding called name.
func Lookup(name string) (Encoding, error) {
	if e, ok := encodings[name]; ok {
		return e, nil
	}
	return nil, fmt.Errorf("chat: encoding %q is not known: use one of %s", name, strings.Join(Names(), ", "))
}

// Render returns the pieces of the whole conversation; with prompt it ends by
// asking for the next turn.
func Render(e Encoding, c *Conversation, prompt bool) ([]Piece, error) {
	s, err := e.Compile(c)
	if err != nil {
		return nil, err
	}
	return s.Render(nil, len(c.Messages), prompt), nil
}

// ParseText reads one completion from text in which special tokens are spelled
// out. Where text came from ids, split it with the tokenizer instead and call
// Parse: then spelled-out and real special tokens cannot be confused.
func ParseText(e Encoding, text string, thinking bool) (Message, error) {
	return e.Parse(Split(text, e.Specials()), thinking)
}
