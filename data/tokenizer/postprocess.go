package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// parsePostProcessor returns the ids that stand before and after one sequence.
func parsePostProcessor(raw json.RawMessage, t *Tokenizer) (before, after []int32, err error) {
	if absent(raw) {
		return nil, nil, nil
	}
	return t.postProcessor(raw, 0)
}

func (t *Tokenizer) postProcessor(raw json.RawMessage, depth int) (before, after []int32, err error) {
	kind, err := kindOf(raw)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case "ByteLevel": // changes offsets only
		return nil, nil, strict(raw, new(byteLevelFile))
	case "TemplateProcessing":
		before, after, err = t.template(raw)
	case "RobertaProcessing", "BertProcessing":
		before, after, err = t.enclosing(raw)
	case "Sequence":
		var s struct {
			bareFile
			Parts []json.RawMessage `json:"processors"`
		}
		if err := strict(raw, &s); err != nil {
			return nil, nil, err
		}
		if depth == maxDepth {
			return nil, nil, fmt.Errorf("a Sequence is nested deeper than %d", maxDepth)
		}
		for _, part := range s.Parts {
			b, a, err := t.postProcessor(part, depth+1)
			if err != nil {
				return nil, nil, err
			}
			before, after = append(b, before...), append(after, a...)
		}
	default:
		err = errors.New("not supported: want ByteLevel, TemplateProcessing, RobertaProcessing, BertProcessing or Sequence")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", kind, err)
	}
	return before, after, err
}

// A templatePart is {"SpecialToken": ...} or {"Sequence": ...}.
type templatePart struct {
	SpecialToken *templateID
	Sequence     *templateID
}

type templateID struct {
	ID     string `json:"id"`
	TypeID int    `json:"type_id"`
}

func (t *Tokenizer) template(raw json.RawMessage) (before, after []int32, err error) {
	var f struct {
		bareFile
		Single  []templatePart `json:"single"`
		Pair    []templatePart `json:"pair"`
		Special map[string]struct {
			ID     string   `json:"id"`
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		} `json:"special_tokens"`
	}
	if err := strict(raw, &f); err != nil {
		return nil, nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(f.Special)) {
		for _, id := range f.Special[name].IDs {
			if _, ok := t.Token(id); !ok {
				return nil, nil, fmt.Errorf("special token %q: id %d has no token", name, id)
			}
		}
	}
	seen := false
	for i, p := range f.Single {
		switch {
		case p.Sequence != nil && p.SpecialToken == nil && p.Sequence.ID == "A" && !seen:
			seen = true
		case p.SpecialToken != nil && p.Sequence == nil:
			s, ok := f.Special[p.SpecialToken.ID]
			if !ok {
				return nil, nil, fmt.Errorf("single: %q is not among the special tokens", p.SpecialToken.ID)
			}
			if seen {
				after = append(after, s.IDs...)
			} else {
				before = append(before, s.IDs...)
			}
		default:
			return nil, nil, fmt.Errorf("single: part %d is not supported: want special tokens and sequence A once", i)
		}
	}
	if !seen {
		return nil, nil, errors.New("single: sequence A does not occur")
	}
	return before, after, nil
}

// enclosing reads the processors that put one token at either end.
func (t *Tokenizer) enclosing(raw json.RawMessage) (before, after []int32, err error) {
	var f struct {
		bareFile
		Sep            tokenWithID `json:"sep"`
		Cls            tokenWithID `json:"cls"`
		TrimOffsets    bool        `json:"trim_offsets"`
		AddPrefixSpace bool        `json:"add_prefix_space"`
	}
	if err := strict(raw, &f); err != nil {
		return nil, nil, err
	}
	for _, id := range []int32{int32(f.Cls), int32(f.Sep)} {
		if _, ok := t.Token(id); !ok {
			return nil, nil, fmt.Errorf("id %d has no token", id)
		}
	}
	return []int32{int32(f.Cls)}, []int32{int32(f.Sep)}, nil
}

// A tokenWithID is ["</s>", 2]; only the id matters.
type tokenWithID int32

// UnmarshalJSON reads the pair.
func (t *tokenWithID) UnmarshalJSON(data []byte) error {
	var name string
	var id int32
	pair := []any{&name, &id}
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if len(pair) != 2 {
		return fmt.Errorf("want [token, id], got %s", data)
	}
	*t = tokenWithID(id)
	return nil
}
