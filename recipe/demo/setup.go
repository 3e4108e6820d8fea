package demo

import (
	_ "embed"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
)

//go:embed recipe.yaml
var recipeYAML []byte

const (
	paragraphs = 1500
	seed       = 1

	heldOut         = 210 // questions on units
	heldOutSums     = 120
	heldOutRequests = 120
	sumsShown       = 300 // of the sums, in the instructions
)

// Setup writes the demo's data under dir, and its recipe, whose path it
// returns. What is there already is replaced by the same bytes.
func Setup(dir string) (recipe string, err error) {
	files := contents()
	recipe = filepath.Join(dir, "demo.yaml")
	if err := durable.MkdirAll(durable.OS, filepath.Join(dir, "data")); err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := durable.WriteFile(durable.OS, filepath.Join(dir, "data", name), []byte(files[name])); err != nil {
			return "", fmt.Errorf("demo: %w", err)
		}
	}
	if err := durable.WriteFile(durable.OS, recipe, recipeYAML); err != nil {
		return "", fmt.Errorf("demo: %w", err)
	}
	return recipe, nil
}

// contents are the files of data by name.
func contents() map[string]string {
	units, heldUnits := Questions(seed, heldOut)
	sums, heldSums := Sums(seed, heldOutSums)
	requests, heldRequests := Requests(seed, heldOutRequests)
	told, judged := requests[:len(requests)/2], requests[len(requests)/2:]
	instructions := slices.Concat(units, sums[:sumsShown], Instructions(told))
	shuffle(instructions, detrand.Key(seed, "demo instructions"))
	return map[string]string{
		"text.txt":                Text(seed, paragraphs),
		"instructions.jsonl":      JSONL(instructions),
		"pairs.jsonl":             JSONL(Pairs(judged)),
		"practice.jsonl":          JSONL(Practice(seed, sums[sumsShown:], judged)),
		"held_out.jsonl":          JSONL(heldUnits),
		"held_out_sums.jsonl":     JSONL(heldSums),
		"held_out_requests.jsonl": JSONL(heldRequests),
	}
}
