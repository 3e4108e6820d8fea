package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

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
		return nil, fmt.Errorf("a Sequence is nested deeper than %d", maxDepth)
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
