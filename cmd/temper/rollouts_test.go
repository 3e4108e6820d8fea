package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
)

// askedRun makes a run directory with rounds of one stage.
func askedRun(t *testing.T) string {
	t.Helper()
	run := t.TempDir()
	tok, err := tokenizer.Train(slices.Values([]string{strings.Repeat("what is two and two? four. ", 40)}), tokenizer.TrainOptions{VocabSize: 300})
	if err != nil {
		t.Fatal(err)
	}
	text, err := tok.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "tokenizer.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(run, "rollouts", "01-rl")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for number := range int64(2) {
		h := journal.Header{Number: number, First: number, Prompts: 1, Group: 2, Tokens: 90, Waves: 1}
		j, _, err := journal.Open(durable.OS, filepath.Join(dir, []string{"000000.rollout", "000001.rollout"}[number]), &h)
		if err != nil {
			t.Fatal(err)
		}
		answer := func(i int, text string, more ...int32) journal.Add {
			ids := append(tok.Encode(text, false), more...)
			return journal.Add{Answer: i, Tokens: ids, LogProb: make([]float32, len(ids)), Sampled: make([]float32, len(ids)), Reason: generate.Length}
		}
		for _, err := range []error{
			j.Questions(0, []journal.Question{{Place: "q.jsonl:3", Tokens: tok.Encode("what is two and two?", false)}}),
			j.Tokens([]journal.Add{answer(0, "four\x1b[2J\nfour"), answer(1, "two", 1<<31-1)}, nil),
			j.Verdict(0, &reward.Verdict{Total: 0.5, Parts: []reward.Part{{Name: "numeric", Weight: 0.5, Score: reward.Score{Value: 1, Reason: "4"}}}}),
			j.Verdict(1, &reward.Verdict{Failed: true, Parts: []reward.Part{{Name: "numeric", Error: "no field"}}}),
			j.Close(),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return run
}

// TestRollouts: questions, answers and verdicts in words; what a terminal would obey is
// not printed.
func TestRollouts(t *testing.T) {
	dir := askedRun(t)
	var out, complaint bytes.Buffer
	if code := run([]string{"rollouts", dir}, nil, &out, &complaint); code != exitDone {
		t.Fatalf("exit %d: %s", code, complaint.String())
	}
	for _, want := range []string{
		"round 1, q.jsonl:3\n    what is two and two?\n", "answer 0  reward 0.5 · ", " tokens, length · numeric 1 (4)\n      four�[2J\n      four\n",
		"answer 1  not judged · ", "numeric: no field\n      two", "1 of the 1 questions of ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	out.Reset()
	if code := run([]string{"rollouts", dir, "--stage", "rl", "--round", "0", "--json"}, nil, &out, &complaint); code != exitDone {
		t.Fatalf("exit %d: %s", code, complaint.String())
	}
	var it rollout.Item
	if err := json.Unmarshal(out.Bytes(), &it); err != nil || it.Round != 0 || len(it.Answers) != 2 || it.Answers[0].Verdict.Total != 0.5 || it.Answers[0].Text != "four\x1b[2J\nfour" {
		t.Errorf("%v: %+v", err, it)
	}
	for want, args := range map[string][]string{
		"--round is 7, rounds are there from 000000.rollout to 000001.rollout": {dir, "--round", "7"},
		`--stage is "x", rounds are there of rl`:                               {dir, "--stage", "x"},
		"has no rounds: it is no run directory":                                {t.TempDir()},
	} {
		complaint.Reset()
		if code := run(append([]string{"rollouts"}, args...), nil, &out, &complaint); code != exitUsage || !strings.Contains(complaint.String(), want) {
			t.Errorf("exit %d, %q, want %q", code, complaint.String(), want)
		}
	}
}
