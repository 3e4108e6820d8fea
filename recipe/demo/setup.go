package demo

import (
	_ "embed"
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/internal/durable"
)

//go:embed recipe.yaml
var recipeYAML []byte

const (
	paragraphs = 1500
	heldOut    = 210
	seed       = 1
)

// Setup writes the demo's data under dir, and its recipe, whose path it
// returns. What is there already is replaced by the same bytes.
func Setup(dir string) (recipe string, err error) {
	train, held := Questions(seed, heldOut)
	recipe = filepath.Join(dir, "demo.yaml")
	if err := durable.MkdirAll(durable.OS, filepath.Join(dir, "data")); err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{filepath.Join(dir, "data", "text.txt"), []byte(Text(seed, paragraphs))},
		{filepath.Join(dir, "data", "questions.jsonl"), []byte(JSONL(train))},
		{filepath.Join(dir, "data", "held_out.jsonl"), []byte(JSONL(held))},
		{recipe, recipeYAML},
	} {
		if err := durable.WriteFile(durable.OS, f.name, f.content); err != nil {
			return "", fmt.Errorf("demo: %w", err)
		}
	}
	return recipe, nil
}
