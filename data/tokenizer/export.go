package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
)

// MarshalJSON returns the canonical tokenizer.json: the order and defaults of Hugging Face, the keys of
// the components sorted, the vocabulary by id, merges as "a b" unless a token has a blank. Hugging Face
// tokenizers loads it and gives the same ids.
func (t *Tokenizer) MarshalJSON() ([]byte, error) {
	b := new(bytes.Buffer)
	field := func(name string, v any) error {
		if b.Len() > 0 {
			b.WriteByte(',')
		} else {
			b.WriteByte('{')
		}
		writeString(b, name)
		b.WriteByte(':')
		return writeJSON(b, v)
	}
	added := t.file.AddedTokens
	if added == nil {
		added = []AddedToken{}
	}
	for _, f := range []struct {
		name  string
		value any
	}{
		{"version", "1.0"},
		{"truncation", t.file.Truncation},
		{"padding", t.file.Padding},
		{"added_tokens", added},
		{"normalizer", t.file.Normalizer},
		{"pre_tokenizer", t.file.PreTokenizer},
		{"post_processor", t.file.PostProcessor},
		{"decoder", t.file.Decoder},
	} {
		if err := field(f.name, f.value); err != nil {
			return nil, fmt.Errorf("tokenizer: %s: %w", f.name, err)
		}
	}
	b.WriteString(`,"model":`)
	t.writeModel(b)
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (t *Tokenizer) writeModel(b *bytes.Buffer) {
	m := t.model
	optional := func(name, value string) {
		b.WriteString(`,"` + name + `":`)
		if value == "" {
			b.WriteString("null")
		} else {
			writeString(b, value)
		}
	}
	b.WriteString(`{"type":"BPE","dropout":null`)
	optional("unk_token", m.Unknown)
	optional("continuing_subword_prefix", m.Prefix)
	optional("end_of_word_suffix", m.Suffix)
	fmt.Fprintf(b, `,"fuse_unk":%t,"byte_fallback":%t,"ignore_merges":%t,"vocab":{`, m.FuseUnknown, m.ByteFallback, m.IgnoreMerges)
	first := true
	for id, token := range t.token {
		if known, ok := m.Vocab[token]; !ok || int(known) != id {
			continue
		}
		if !first {
			b.WriteByte(',')
		}
		first = false
		writeString(b, token)
		fmt.Fprintf(b, ":%d", id)
	}
	b.WriteString(`},"merges":[`)
	pairs := hasBlank(m.Merges)
	for i, pair := range m.Merges {
		if i > 0 {
			b.WriteByte(',')
		}
		if pairs {
			b.WriteByte('[')
			writeString(b, pair[0])
			b.WriteByte(',')
			writeString(b, pair[1])
			b.WriteByte(']')
		} else {
			writeString(b, pair[0]+" "+pair[1])
		}
	}
	b.WriteString("]}")
}

func hasBlank(merges []merge) bool {
	for _, pair := range merges {
		if strings.Contains(pair[0], " ") || strings.Contains(pair[1], " ") {
			return true
		}
	}
	return false
}

func writeString(b *bytes.Buffer, s string) { _ = writeJSON(b, s) }

// writeJSON writes v without the escapes that are meant for HTML. Raw JSON gets its keys sorted.
func writeJSON(b *bytes.Buffer, v any) error {
	if raw, ok := v.(json.RawMessage); ok {
		if absent(raw) {
			b.WriteString("null")
			return nil
		}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		var generic any
		if err := d.Decode(&generic); err != nil {
			return err
		}
		v = generic
	}
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line break
	return nil
}

func (t *Tokenizer) hash() [sha256.Size]byte {
	data, err := t.MarshalJSON()
	if err != nil {
		panic("tokenizer: a parsed component no longer encodes")
	}
	return sha256.Sum256(data)
}
