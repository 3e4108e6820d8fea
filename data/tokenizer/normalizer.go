package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/temper-ml/temper/data/tokenizer/internal/normalform"
	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

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
		return nil, fmt.Errorf("a Sequence is nested deeper than %d", maxDepth)
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
				text = strings.TrimLeftFunc(text, pretoken.IsSpace)
			}
			if s.Right {
				text = strings.TrimRightFunc(text, pretoken.IsSpace)
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
