package source

import (
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/data/chat"
)

// Kind says what a row teaches.
type Kind uint8

// The kinds of rows. All rows of a data set are of one kind.
const (
	Supervised Kind = iota // a conversation whose assistant turns are to be learnt
	Preference             // a chosen and a rejected completion of one prompt
	Feedback               // a completion judged desirable or not
	Prompt                 // a prompt to complete, perhaps with a reference answer
	Text                   // plain text
)

var kindNames = [...]string{"supervised", "preference", "feedback", "prompt", "text"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", k)
}

// Row is one usable row.
type Row struct {
	Line int // on which it begins
	Part int // its number among the rows that one line gave, from 0
	Kind Kind

	// Conversation is the whole dialogue; for Preference the chosen one, for
	// Prompt it ends before the assistant.
	Conversation chat.Conversation
	Rejected     chat.Conversation // the dialogue not chosen (Preference)
	PromptLen    int               // messages before the completion (Preference, Feedback)
	Desirable    bool              // the judgement (Feedback)
	Answer       string            // the reference answer (Prompt), if any
	Text         string            // the text (Text)
}

// Format names a layout of rows.
type Format string

// The formats; Auto recognises one from the first row's fields.
const (
	Auto             Format = ""
	Alpaca           Format = "alpaca"
	ShareGPT         Format = "sharegpt"
	Messages         Format = "messages"
	Pair             Format = "pair"
	PreferenceFormat Format = "preference"
	KTO              Format = "kto"
	PromptFormat     Format = "prompt"
	TextFormat       Format = "text"
)

var formats = []Format{Alpaca, ShareGPT, Messages, Pair, PreferenceFormat, KTO, PromptFormat, TextFormat}

// ParseFormat returns the format called name; "auto" is Auto.
func ParseFormat(name string) (Format, error) {
	if name == "" || name == "auto" {
		return Auto, nil
	}
	if slices.Contains(formats, Format(name)) {
		return Format(name), nil
	}
	return Auto, fmt.Errorf("source: format %q is not known: use auto or one of %s", name, formatList())
}

func formatList() string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// Thinking says in which mode a row is rendered when it does not say so itself.
type Thinking string

// The thinking policies. A row says it with "thinking_mode" or "enable_thinking".
const (
	ThinkAuto  Thinking = ""         // thinking where an assistant message has reasoning
	ThinkRow   Thinking = "row"      // every row must say it
	ThinkChat  Thinking = "chat"     // chat mode
	ThinkModel Thinking = "thinking" // thinking mode
)

// Options are how to read a file.
type Options struct {
	Format  Format            `json:"format,omitempty"`
	Mapping map[string]string `json:"mapping,omitempty"` // our field name -> the file's
	// Thinking is for rows that do not say it themselves.
	Thinking Thinking `json:"thinking,omitempty"`
	// KeepReasoning keeps the reasoning of earlier turns, as "drop_thinking":
	// false does in a row.
	KeepReasoning bool `json:"keep_reasoning,omitempty"`
	// SplitThink moves a leading <think>...</think> of an answer to its reasoning.
	SplitThink bool `json:"split_think,omitempty"`
	// System is used for rows that bring no system message.
	System string `json:"system,omitempty"`
	// IgnoreFields lists fields of messages that may be skipped.
	IgnoreFields []string `json:"ignore_fields,omitempty"`
	// MaxRowBytes bounds one row; 0 means 64 MiB.
	MaxRowBytes int `json:"max_row_bytes,omitempty"`
	// Separator cuts a plain text file into documents; empty: one document.
	Separator string `json:"separator,omitempty"`
}

// Check refuses options that no file can satisfy.
func (o *Options) Check() error {
	if _, err := ParseFormat(string(o.Format)); err != nil {
		return err
	}
	switch o.Thinking {
	case ThinkAuto, ThinkRow, ThinkChat, ThinkModel:
	default:
		return fmt.Errorf("source: thinking %q is not known: use row, chat or thinking, or leave it out", o.Thinking)
	}
	for name := range o.Mapping {
		if !slices.Contains(fields, name) {
			return fmt.Errorf("source: mapping names %q, which is not a field temper reads: use one of %s", name, strings.Join(fields, ", "))
		}
	}
	if o.MaxRowBytes < 0 {
		return fmt.Errorf("source: max_row_bytes is %d, want 0 or more", o.MaxRowBytes)
	}
	return nil
}

// fields are the names a Mapping may give a file's field to.
var fields = []string{
	"prompt", "input", "response", "system", "history", "instances", "messages", "conversations",
	"tools", "chosen", "rejected", "label", "answer", "text",
	"thinking_mode", "enable_thinking", "drop_thinking", "reasoning", "reasoning_effort", "response_format",
}
