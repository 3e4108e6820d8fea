package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// temperIn is temper with something on the standard input.
func temperIn(t *testing.T, want int, stdin string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, strings.NewReader(stdin), &out, &errs); code != want {
		t.Fatalf("temper %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// A story: learn a vocabulary from rows and standard input, take a text to ids and back.
func TestTokenizerCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("rows.jsonl", []byte(strings.Repeat(`{"question":"How many legs has a spider?","answer":"#### 8","id":"zzz"}`+"\n", 20)), 0o666); err != nil {
		t.Fatal(err)
	}
	out, stderr := temperIn(t, exitDone, "legs and more legs", "tokenizer", "train", "rows.jsonl", "-", "--field", "question", "--field", "answer",
		"--vocab-size", "400", "--special", "<|extra|>", "--out", "tok", "--json")
	var trained struct {
		VocabSize int `json:"vocab_size"`
		Special   int
		Texts     int
		Digest    string
	}
	if err := json.Unmarshal([]byte(out), &trained); err != nil || trained.Special != 20 || trained.Texts != 41 || len(trained.Digest) != 64 {
		t.Errorf("%v: %s", err, out)
	}
	if trained.VocabSize >= 400 || !strings.Contains(stderr, "no more pairs") {
		t.Errorf("%d tokens, and says %q", trained.VocabSize, stderr)
	}

	const text = "How many legs, <|extra|> 世界?\n"
	ids, _ := temperIn(t, exitDone, text, "tokenizer", "encode", "tok")
	if back, _ := temperIn(t, exitDone, ids, "tokenizer", "decode", "tok/tokenizer.json"); back != text {
		t.Errorf("there and back: %q", back)
	}
	out, _ = temperIn(t, exitDone, "", "tokenizer", "encode", "tok", "--text", text, "--special", "--json")
	var enc struct {
		IDs    []int32
		Tokens []string
		Count  int
		Bytes  int
	}
	if err := json.Unmarshal([]byte(out), &enc); err != nil || enc.Count != len(enc.IDs) || enc.Bytes != len(text) || enc.Tokens[0] != "How" {
		t.Errorf("%v: %s", err, out)
	}
	list, _ := json.Marshal(enc.IDs)
	out, _ = temperIn(t, exitDone, string(list), "tokenizer", "decode", "tok", "--skip-special", "--json")
	if want := `{"count":` + jsonInt(enc.Count) + `,"text":"How many legs,  世界?\n"}` + "\n"; out != want {
		t.Errorf("got %s, want %s", out, want)
	}
}

func jsonInt(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestTokenizerCommandsRefuse(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.txt", []byte("a\xff"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("bad.json", []byte(`{"model":{"type":"Unigram"}}`), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args string
		want string
	}{
		{exitUsage, "tokenizer train", "at least one FILE"},
		{exitUsage, "tokenizer train bad.txt", "--out is missing"},
		{exitUsage, "tokenizer encode", "got 0 arguments"},
		{exitUsage, "tokenizer encode bad.json FILE --text x", "want one of them"},
		{exitFailed, "tokenizer train bad.txt --out tok", "byte 1 (line 1) is not UTF-8"},
		{exitFailed, "tokenizer train bad.txt --out tok --vocab-size 100", "vocabulary size 100 is too small, want at least 275"},
		{exitFailed, "tokenizer encode none --text x", "no such file"},
		{exitFailed, "tokenizer encode bad.json --text x", `type "Unigram" is not supported, want BPE`},
	} {
		if _, stderr := temperIn(t, c.code, "", strings.Fields(c.args)...); !strings.Contains(stderr, c.want) {
			t.Errorf("%s: got %q, want %q", c.args, stderr, c.want)
		}
	}
	if _, err := os.Stat("tok"); err == nil {
		t.Error("a failed training left a directory")
	}
}
