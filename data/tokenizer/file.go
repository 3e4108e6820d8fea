package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// A file is a tokenizer.json as it stands.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []AddedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         json.RawMessage `json:"model"`
}

// A modelFile is the model of a tokenizer.json. The optional strings are empty when the file has null.
type modelFile struct {
	Type         string           `json:"type"`
	Dropout      *float64         `json:"dropout"`
	Unknown      string           `json:"unk_token"`
	Prefix       string           `json:"continuing_subword_prefix"`
	Suffix       string           `json:"end_of_word_suffix"`
	FuseUnknown  bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Vocab        map[string]int32 `json:"vocab"`
	Merges       []merge          `json:"merges"`
}

// A merge is a pair of tokens, in the file either ["a", "b"] or "a b".
type merge [2]string

// UnmarshalJSON reads either form.
func (m *merge) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		var pair []string
		if err := json.Unmarshal(data, &pair); err != nil {
			return err
		}
		if len(pair) != 2 {
			return fmt.Errorf("a merge has 2 tokens, got %d", len(pair))
		}
		*m = merge{pair[0], pair[1]}
		return nil
	}
	var line string
	if err := json.Unmarshal(data, &line); err != nil {
		return err
	}
	if strings.HasPrefix(line, "#version") {
		*m = merge{}
		return nil
	}
	left, right, ok := strings.Cut(line, " ")
	if !ok || strings.Contains(right, " ") {
		return fmt.Errorf("a merge is two tokens with one blank between, got %q", line)
	}
	*m = merge{left, right}
	return nil
}

// Load reads a tokenizer.json, or the one in a model directory.
func Load(path string) (*Tokenizer, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "tokenizer.json")
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Parse compiles the contents of a tokenizer.json.
func Parse(data []byte) (*Tokenizer, error) {
	var f file
	if err := strict(data, &f); err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if f.Version != "" && f.Version != "1.0" {
		return nil, fmt.Errorf("tokenizer: version %q is not supported, want 1.0", f.Version)
	}
	if absent(f.Model) {
		return nil, errors.New("tokenizer: the file has no model")
	}
	m, err := parseModel(f.Model)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: model: %w", err)
	}
	t, err := compile(&f, m)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	return t, nil
}

func parseModel(raw json.RawMessage) (*modelFile, error) {
	kind, err := kindOf(raw)
	if err != nil {
		return nil, err
	}
	if kind != "BPE" && kind != "" { // files from before 2020 do not say
		return nil, fmt.Errorf("type %q is not supported, want BPE", kind)
	}
	var m modelFile
	if err := strict(raw, &m); err != nil {
		return nil, err
	}
	switch {
	case m.Vocab == nil:
		return nil, errors.New("vocab is missing")
	case m.Dropout != nil && *m.Dropout != 0:
		return nil, fmt.Errorf("dropout %v is not supported: encoding is deterministic, set it to null", *m.Dropout)
	}
	kept := m.Merges[:0]
	for _, pair := range m.Merges {
		if pair != (merge{}) {
			kept = append(kept, pair)
		}
	}
	m.Merges = kept
	return &m, nil
}

// strict decodes one JSON value into v; unknown fields and trailing data are errors.
func strict(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return clean(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("data after the JSON value at byte %d", d.InputOffset())
	}
	return nil
}

// clean drops the prefix of encoding/json, whose callers' names say more.
func clean(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "json: "); ok {
		return errors.New(text)
	}
	return err
}

// absent reports whether a component is left out or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// kindOf returns the "type" of a component.
func kindOf(raw json.RawMessage) (string, error) {
	var c struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		return "", clean(err)
	}
	return c.Type, nil
}

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
