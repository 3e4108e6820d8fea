package execution

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// TokenizerName is the file of the vocabulary in a run directory.
const TokenizerName = "tokenizer.json"

// Tokenizer returns the recipe's vocabulary. One that is trained is kept in
// dir, and read from there if it is there already.
func Tokenizer(ctx context.Context, r *recipe.Recipe, dir string) (*tokenizer.Tokenizer, error) {
	switch t := &r.Tokenizer; {
	case t.File != "":
		path, err := r.Path(t.File)
		if err != nil {
			return nil, err
		}
		return tokenizer.Load(path)
	case t.Train == nil:
		path, err := r.Path(r.Model.Load)
		if err != nil {
			return nil, err
		}
		return tokenizer.Load(filepath.Join(path, TokenizerName))
	}
	kept := filepath.Join(dir, TokenizerName)
	if _, err := os.Stat(kept); err == nil {
		return tokenizer.Load(kept)
	}
	return trainTokenizer(ctx, r)
}

func trainTokenizer(ctx context.Context, r *recipe.Recipe) (*tokenizer.Tokenizer, error) {
	t := r.Tokenizer.Train
	var texts []string
	for _, f := range t.Files {
		path, err := r.Path(f)
		if err != nil {
			return nil, err
		}
		b, err := readText(path)
		if err != nil {
			return nil, fmt.Errorf("tokenizer: %w", err)
		}
		text := string(b)
		if t.SingleDigits {
			text = singleDigits(text)
		}
		texts = append(texts, text)
	}
	return tokenizer.Train(untilDone(ctx, texts), tokenizer.TrainOptions{
		VocabSize: t.VocabSize, MinFrequency: t.MinFrequency,
		Special: tokenizer.V4Specials(), PreTokenizer: t.PreTokenizer,
	})
}

// maxText bounds a compressed file, as its size says little.
const maxText = 4 << 30

// readText reads a file, decompressing .gz.
func readText(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".gz") {
		return os.ReadFile(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(zip, maxText+1))
	if err == nil && len(b) > maxText {
		err = fmt.Errorf("more than %d bytes once decompressed", int64(maxText))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// untilDone yields texts until the context ends.
func untilDone(ctx context.Context, texts []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, t := range texts {
			if ctx.Err() != nil || !yield(t) {
				return
			}
		}
	}
}

// singleDigits returns text with a space between neighbouring digits: no merge
// learnt from it has two digits.
func singleDigits(text string) string {
	var b strings.Builder
	digit := false
	for _, r := range text {
		is := r >= '0' && r <= '9'
		if is && digit {
			b.WriteByte(' ')
		}
		digit = is
		b.WriteRune(r)
	}
	return b.String()
}

// Architecture returns what the recipe trains, its vocabulary fitted to tok.
func Architecture(r *recipe.Recipe, tok *tokenizer.Tokenizer) (*arch.Config, error) {
	c, err := architecture(r)
	if err != nil {
		return nil, err
	}
	if err := c.CheckTrainable(); err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if r.Model.Load != "" {
		if tok.VocabSize() > c.VocabSize {
			return nil, fmt.Errorf("tokenizer: it has %d tokens, the model's embedding %d: they do not belong together", tok.VocabSize(), c.VocabSize)
		}
		return c, nil
	}
	c.VocabSize = tok.VocabSize()
	for name, id := range map[string]*int{tokenizer.V4BOS: &c.BOS, tokenizer.V4EOS: &c.EOS} {
		if n, ok := tok.Special(name); ok {
			*id = int(n)
		}
	}
	return set(c, r.Model.Set)
}

// architecture returns what the recipe names: a built-in for Init, if there is
// one of that name, else a path.
func architecture(r *recipe.Recipe) (*arch.Config, error) {
	if r.Model.Load != "" {
		path, err := r.Path(r.Model.Load)
		if err != nil {
			return nil, err
		}
		return hf.LoadConfig(explicit(path))
	}
	c, unknown := arch.Builtin(strings.TrimPrefix(r.Model.Init, "builtin:"))
	if unknown == nil {
		return c, nil
	}
	path, err := r.Path(r.Model.Init)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); err != nil && !strings.ContainsRune(r.Model.Init, filepath.Separator) {
		return nil, unknown // it says which names there are
	}
	return hf.LoadConfig(explicit(path))
}

// explicit makes sure that a path is not taken for the name of a built-in.
func explicit(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return "." + string(filepath.Separator) + path
}

// set overrides keys of an architecture's config.json.
func set(c *arch.Config, keys map[string]any) (*arch.Config, error) {
	if len(keys) == 0 {
		return c, c.Check()
	}
	text := c.MarshalHF()
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	for k, v := range keys {
		all[k] = v
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("model.set: %w", err)
	}
	c, err = arch.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("model.set: %w", err)
	}
	return c, nil
}

// parameters fills a new model: from the recipe's seed, or from the directory
// that it loads.
func parameters(r *recipe.Recipe, m *deepseek.Model) ([]string, error) {
	if r.Model.Load == "" {
		m.Init(r.Seed)
		return nil, nil
	}
	path, err := r.Path(r.Model.Load)
	if err != nil {
		return nil, err
	}
	src, err := hf.Open(path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	return src.Notes, src.Load(func(t *arch.Tensor) ([]float32, error) { return m.Param(t.Name).Data, nil })
}

// keep writes a small file of the run directory if it is not there yet.
func keep(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return durable.WriteFile(durable.OS, path, content)
}
