package hf

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// CompanionFiles are taken along when a model is copied: everything that a
// program needs to turn text into tokens and back.
var CompanionFiles = []string{
	"generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
	"added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json", "LICENSE",
}

// maxCompanion bounds a copied file; the largest tokenizers have some 30 MB.
const maxCompanion = 256 << 20

// companion is a small file of a model directory.
type companion struct {
	name string
	data []byte
}

// companions collects the small files to write, config.json first.
func (o *Options) companions(c *arch.Config) ([]companion, error) {
	files := map[string][]byte{"generation_config.json": generationConfig(c)}
	if o.CopyFrom != "" {
		for _, name := range CompanionFiles {
			data, err := readSmall(filepath.Join(o.CopyFrom, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("hf: %w", err)
			}
			files[name] = data
		}
	}
	for name, data := range o.Files {
		if name != filepath.Base(name) || filepath.Ext(name) == ".safetensors" || name == "config.json" {
			return nil, fmt.Errorf("hf: %q cannot be added to a model directory", name)
		}
		files[name] = data
	}
	out := []companion{{"config.json", c.MarshalHF()}}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		out = append(out, companion{name, files[name]})
	}
	return out, nil
}

func readSmall(path string) ([]byte, error) {
	stat, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !stat.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if stat.Size() > maxCompanion {
		return nil, fmt.Errorf("%s has %d bytes, want at most %d", path, stat.Size(), maxCompanion)
	}
	return os.ReadFile(path)
}

// generationConfig is the sampling default of the published models.
func generationConfig(c *arch.Config) []byte {
	text, _ := json.Marshal(struct {
		FromModel   bool    `json:"_from_model_config"`
		BOS         int     `json:"bos_token_id"`
		EOS         int     `json:"eos_token_id"`
		Sample      bool    `json:"do_sample"`
		Temperature float64 `json:"temperature"`
		TopP        float64 `json:"top_p"`
	}{true, c.BOS, c.EOS, true, 1, 1})
	var b bytes.Buffer
	_ = json.Indent(&b, text, "", "  ")
	b.WriteByte('\n')
	return b.Bytes()
}
