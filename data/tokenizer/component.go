package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/temper-ml/temper/data/tokenizer/internal/normalform"
	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// maxDepth limits how deep a Sequence may be nested.
const maxDepth = 16

// A bareFile is a component without settings.
type bareFile struct {
	Type string `json:"type"`
}

// A byteLevelFile is ByteLevel as pre-tokenizer, post-processor or decoder.
type byteLevelFile struct {
	bareFile
	AddPrefixSpace bool  `json:"add_prefix_space"`
	TrimOffsets    bool  `json:"trim_offsets"`
	UseRegex       *bool `json:"use_regex"` // absent in older files: true
}

// A patternFile is {"String": "..."} or {"Regex": "..."}.
type patternFile struct {
	String *string `json:"String,omitempty"`
	Regex  *string `json:"Regex,omitempty"`
}

func (p patternFile) check() error {
	if (p.String == nil) == (p.Regex == nil) {
		return errors.New(`pattern: want {"String": ...} or {"Regex": ...}`)
	}
	return nil
}

// A replaceFile is Replace as normalizer or decoder.
type replaceFile struct {
	bareFile
	Pattern patternFile `json:"pattern"`
	Content string      `json:"content"`
}

// parsePreTokenizer returns the stages of a pre-tokenizer; none for null.
func parsePreTokenizer(raw json.RawMessage, depth int) ([]pretoken.Stage, error) {
	if absent(raw) {
		return nil, nil
	}
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	if kind == "Sequence" {
		return parsePreTokenizers(raw, depth)
	}
	stage, err := parseStage(kind, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return []pretoken.Stage{stage}, nil
}

func parsePreTokenizers(raw json.RawMessage, depth int) ([]pretoken.Stage, error) {
	var s struct {
		bareFile
		Parts []json.RawMessage `json:"pretokenizers"`
	}
	if err := strict(raw, &s); err != nil {
		return nil, err
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("Sequence nested deeper than %d", maxDepth)
	}
	var stages []pretoken.Stage
	for _, part := range s.Parts {
		more, err := parsePreTokenizer(part, depth+1)
		if err != nil {
			return nil, err
		}
		stages = append(stages, more...)
	}
	return stages, nil
}

func parseStage(kind string, raw json.RawMessage) (pretoken.Stage, error) {
	switch kind {
	case "ByteLevel":
		var b byteLevelFile
		err := strict(raw, &b)
		return pretoken.ByteLevelStage(b.AddPrefixSpace, b.UseRegex == nil || *b.UseRegex), err
	case "Split":
		return parseSplit(raw)
	case "Digits":
		var d struct {
			bareFile
			Individual bool `json:"individual_digits"`
		}
		err := strict(raw, &d)
		return pretoken.DigitsStage(d.Individual), err
	case "Punctuation":
		p := struct {
			bareFile
			Behavior pretoken.Behavior `json:"behavior"`
		}{Behavior: pretoken.Isolated}
		if err := strict(raw, &p); err != nil {
			return pretoken.Stage{}, err
		}
		return pretoken.PunctuationStage(p.Behavior)
	case "Whitespace":
		return pretoken.WhitespaceStage(), strict(raw, new(bareFile))
	case "WhitespaceSplit":
		return pretoken.WhitespaceSplitStage(), strict(raw, new(bareFile))
	}
	return pretoken.Stage{}, errors.New("not supported: want ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit or Sequence")
}

func parseSplit(raw json.RawMessage) (pretoken.Stage, error) {
	var s struct {
		bareFile
		Pattern  patternFile       `json:"pattern"`
		Behavior pretoken.Behavior `json:"behavior"`
		Invert   bool              `json:"invert"`
	}
	if err := strict(raw, &s); err != nil {
		return pretoken.Stage{}, err
	}
	if err := s.Pattern.check(); err != nil {
		return pretoken.Stage{}, err
	}
	if s.Pattern.String != nil {
		return pretoken.LiteralStage(*s.Pattern.String, s.Behavior, s.Invert)
	}
	return pretoken.SplitStage(*s.Pattern.Regex, s.Behavior, s.Invert)
}

// parseNormalizer returns the function of a normalizer; nil when it changes nothing.
func parseNormalizer(raw json.RawMessage, depth int) (func(string) string, error) {
	if absent(raw) {
		return nil, nil
	}
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	if kind == "Sequence" {
		return parseNormalizers(raw, depth)
	}
	f, err := parseOneNormalizer(kind, raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return f, nil
}

func parseNormalizers(raw json.RawMessage, depth int) (func(string) string, error) {
	var s struct {
		bareFile
		Parts []json.RawMessage `json:"normalizers"`
	}
	if err := strict(raw, &s); err != nil {
		return nil, err
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("Sequence nested deeper than %d", maxDepth)
	}
	var all []func(string) string
	for _, part := range s.Parts {
		f, err := parseNormalizer(part, depth+1)
		if err != nil {
			return nil, err
		}
		if f != nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return func(text string) string {
		for _, f := range all {
			text = f(text)
		}
		return text
	}, nil
}

func parseOneNormalizer(kind string, raw json.RawMessage) (func(string) string, error) {
	switch kind {
	case "NFC", "NFD", "NFKC", "NFKD":
		return normalform.Form(kind).String, strict(raw, new(bareFile))
	case "Lowercase":
		return normalform.Lowercase, strict(raw, new(bareFile))
	case "Prepend":
		var p struct {
			bareFile
			Prepend string `json:"prepend"`
		}
		err := strict(raw, &p)
		return func(text string) string {
			if text == "" {
				return text
			}
			return p.Prepend + text
		}, err
	case "Strip":
		var s struct {
			bareFile
			Left  bool `json:"strip_left"`
			Right bool `json:"strip_right"`
		}
		err := strict(raw, &s)
		return func(text string) string {
			if s.Left {
				text = strings.TrimLeftFunc(text, unicode.IsSpace)
			}
			if s.Right {
				text = strings.TrimRightFunc(text, unicode.IsSpace)
			}
			return text
		}, err
	case "Replace":
		return parseReplace(raw)
	}
	return nil, errors.New("not supported: want NFC, NFD, NFKC, NFKD, Replace, Prepend, Strip, Lowercase or Sequence")
}

func parseReplace(raw json.RawMessage) (func(string) string, error) {
	var r replaceFile
	if err := strict(raw, &r); err != nil {
		return nil, err
	}
	if err := r.Pattern.check(); err != nil {
		return nil, err
	}
	if r.Pattern.Regex == nil {
		old := *r.Pattern.String
		if old == "" {
			return nil, errors.New("the text to replace is empty")
		}
		return func(text string) string { return strings.ReplaceAll(text, old, r.Content) }, nil
	}
	re, err := pretoken.CompileRegex(*r.Pattern.Regex)
	if err != nil {
		return nil, err
	}
	return func(text string) string { return re.Replace(text, r.Content) }, nil
}
