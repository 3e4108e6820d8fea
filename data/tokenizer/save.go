package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/internal/durable"
)

// Roles names the tokens that programs ask for by role, for tokenizer_config.json. Empty names are null.
type Roles struct {
	BOS, EOS, Pad string
	MaxLength     int // of a sequence, in tokens; 0 leaves it out
}

// V4Roles returns the roles of the DeepSeek tokens; padding is EOS, as published.
func V4Roles(maxLength int) Roles { return Roles{V4BOS, V4EOS, V4EOS, maxLength} }

// Files returns tokenizer.json and tokenizer_config.json, by name, as they belong in a model directory.
func (t *Tokenizer) Files(r Roles) (map[string][]byte, error) {
	config := map[string]any{
		"tokenizer_class":              "PreTrainedTokenizerFast",
		"add_bos_token":                false,
		"add_eos_token":                false,
		"clean_up_tokenization_spaces": false,
		"unk_token":                    nil,
	}
	for role, name := range map[string]string{"bos_token": r.BOS, "eos_token": r.EOS, "pad_token": r.Pad} {
		config[role] = nil
		if name == "" {
			continue
		}
		if _, ok := t.Special(name); !ok {
			return nil, fmt.Errorf("tokenizer: %s: %q is not an added token", role, name)
		}
		config[role] = name
	}
	if t.model.Unknown != "" {
		config["unk_token"] = t.model.Unknown
	}
	if r.MaxLength > 0 {
		config["model_max_length"] = r.MaxLength
	}
	out := map[string][]byte{}
	for name, v := range map[string]any{"tokenizer.json": t, "tokenizer_config.json": config} {
		b := new(bytes.Buffer)
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		if name != "tokenizer.json" {
			e.SetIndent("", "  ")
		}
		if err := e.Encode(v); err != nil {
			return nil, fmt.Errorf("tokenizer: %s: %w", name, err)
		}
		out[name] = b.Bytes()
	}
	return out, nil
}

// Save writes the files into dir, which it makes if need be; each is replaced as a whole.
func (t *Tokenizer) Save(dir string, r Roles) error {
	files, err := t.Files(r)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(durable.OS, dir); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if err := durable.WriteFile(durable.OS, filepath.Join(dir, name), files[name]); err != nil {
			return fmt.Errorf("tokenizer: %w", err)
		}
	}
	return nil
}
