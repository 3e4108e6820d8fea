package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/tokenizer"
)

// temper runs the program and demands its exit code.
func temper(t *testing.T, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(""), &out, &errs); code != want {
		t.Fatalf("temper %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// A story: make a model, look into it, convert it there and back, compare.
func TestModelCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	out, _ := temper(t, exitDone, "model", "init", "tiny-v4", "base", "--seed", "1", "--vocab", "300", "--dtype", "f32")
	if !strings.Contains(out, "wrote base: ") {
		t.Error(out)
	}
	temper(t, exitDone, "model", "convert", "base", "fused", "--names", "transformers", "--dtype", "f32", "--shard", "1MiB")
	temper(t, exitDone, "model", "convert", "fused", "again", "--dtype", "f32")
	if out, _ := temper(t, exitDone, "model", "diff", "base", "fused"); !strings.Contains(out, "every bit") {
		t.Error(out)
	}
	one, err1 := os.ReadFile(filepath.Join("base", "model.safetensors"))
	two, err2 := os.ReadFile(filepath.Join("again", "model.safetensors"))
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Error("there and back is not the same file")
	}
	temper(t, exitDone, "model", "init", "tiny-v4", "other", "--seed", "2", "--vocab", "300", "--dtype", "f32")
	out, _ = temper(t, exitFailed, "model", "diff", "base", "other", "--json")
	var diff struct {
		Equal       bool
		Different   int
		Differences []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &diff); err != nil || diff.Equal || diff.Different == 0 || len(diff.Differences) != diff.Different {
		t.Errorf("%v: %s", err, out)
	}
	out, _ = temper(t, exitDone, "model", "inspect", "fused", "--json")
	var s struct {
		Vocabulary int
		Stored     struct{ Names string }
		Parameters struct{ Total int64 }
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Vocabulary != 300 || s.Stored.Names != "transformers" || s.Parameters.Total < 1_000_000 {
		t.Errorf("%v: %s", err, out)
	}
}

// With a tokenizer the model speaks its vocabulary.
func TestModelInitWithTokenizer(t *testing.T) {
	t.Chdir(t.TempDir())
	tok, err := tokenizer.Train(slices.Values([]string{"hello hello world"}), tokenizer.TrainOptions{VocabSize: 300, Special: tokenizer.V4Specials()})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tok.MarshalJSON()
	if err == nil {
		err = os.Mkdir("words", 0o777)
	}
	for name, data := range map[string][]byte{"words/tokenizer.json": text, "words/tokenizer_config.json": []byte("{}")} {
		if err == nil {
			err = os.WriteFile(name, data, 0o666)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	temper(t, exitDone, "model", "init", "tiny-v4", "one", "--tokenizer", "words/tokenizer.json")
	temper(t, exitDone, "model", "init", "tiny-v4", "two", "--tokenizer", "words")
	for _, dir := range []string{"one", "two"} {
		copied, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
		if err != nil || !bytes.Equal(copied, text) {
			t.Errorf("%s: the tokenizer was not copied: %v", dir, err)
		}
		config, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if want := fmt.Sprintf(`"vocab_size": %d`, tok.VocabSize()); err != nil || !strings.Contains(string(config), want) {
			t.Errorf("%s: config.json lacks %s: %v", dir, want, err)
		}
	}
	if _, err := os.Stat("two/tokenizer_config.json"); err != nil {
		t.Error(err)
	}
	temper(t, exitUsage, "model", "init", "tiny-v4", "three", "--tokenizer", "words", "--vocab", "10")
}

// Published sizes, from the name alone.
func TestModelInspectNeedsNoWeights(t *testing.T) {
	out, _ := temper(t, exitDone, "model", "inspect", "deepseek-v4-pro")
	for _, want := range []string{"1.57 T", "48.9 B active", "30 csa, 31 hca", "layers.N.ffn.experts.E.w1.weight"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

// Wrong use exits with 2, what cannot be done with 1; each says what to do.
func TestModelCommandsRefuse(t *testing.T) {
	t.Chdir(t.TempDir())
	temper(t, exitDone, "model", "init", "tiny-v4", "base", "--vocab", "64")
	if err := os.WriteFile("broken.json", []byte(`{"model_type":"deepseek_v4","hiden_size":1}`), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "takes MODEL and DIR", []string{"init", "tiny-v4"}},
		{exitUsage, `--dtype is "fp8", want bf16 or f32`, []string{"init", "tiny-v4", "x", "--dtype", "fp8"}},
		{exitUsage, `--names is "titan"`, []string{"convert", "base", "x", "--names", "titan"}},
		{exitUsage, `"5XB" is not a size`, []string{"convert", "base", "x", "--shard", "5XB"}},
		{exitUsage, "--seq is 0", []string{"inspect", "base", "--seq", "0"}},
		{exitFailed, "did you mean", []string{"inspect", "tiny-v5"}},
		{exitFailed, "exists and holds", []string{"init", "tiny-v4", "base"}},
		{exitFailed, "absent", []string{"convert", "base", "base"}},
		{exitFailed, "no such file", []string{"diff", "base", "nowhere"}},
		{exitFailed, "free", []string{"init", "deepseek-v4-pro", "x", "--dtype", "f32"}},
		{exitFailed, `did you mean "hidden_size"`, []string{"inspect", "broken.json"}},
	} {
		if _, stderr := temper(t, tc.code, append([]string{"model"}, tc.args...)...); !strings.Contains(stderr, tc.want) || !strings.HasPrefix(stderr, "temper: ") {
			t.Errorf("%v: %q does not say %q", tc.args, stderr, tc.want)
		}
	}
	if left, _ := filepath.Glob("*"); len(left) != 2 {
		t.Errorf("left behind: %v", left)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"5GB": 5e9, "1.5MiB": 3 << 19, "10": 10, "7KB": 7000, "2tb": 2e12, "3 GiB": 3 << 30} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("parseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", "GB", "-1MB", "0", "5XB", "1GGB", "NaN", "1e300", "1iB"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("parseSize(%q) = %d", bad, got)
		}
	}
}
