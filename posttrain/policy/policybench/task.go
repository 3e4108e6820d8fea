package policybench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/temper-ml/temper/data"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/posttrain"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
)

// task makes questions, bytes as tokens, and a rule that random answers satisfy now and
// then.
func task(ctx context.Context, o *Options, dir string) (*rollout.Questions, []reward.Spec, error) {
	var text strings.Builder
	for i := range 256 {
		fmt.Fprintf(&text, "{\"prompt\": \"%03d: %s\"}\n", i, strings.Repeat("how many is it? ", 3))
	}
	path := filepath.Join(dir, "questions.jsonl")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		return nil, nil, err
	}
	enc, err := chat.Lookup("plain")
	if err != nil {
		return nil, nil, err
	}
	tok := data.NewBytes(enc)
	if tok.VocabSize() > o.Model.VocabSize {
		return nil, nil, fmt.Errorf("policybench: the model has %d tokens, want at least %d", o.Model.VocabSize, tok.VocabSize())
	}
	d := posttrain.Data{Files: []string{path}, Format: "prompt", Encoding: "plain", Sequence: o.Sequence}
	questions, _, _, err := rollout.Load(ctx, &d, tok, o.Tokens, 1)
	return questions, []reward.Spec{{Format: &reward.Format{Pattern: "[a-z]", Anywhere: true}}}, err
}
