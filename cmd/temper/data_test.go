package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func dataFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoSums = `{"question": "1+1?", "answer": "2"}
{"question": "2+2?", "answer": "4"}
`

func TestDataInspect(t *testing.T) {
	path := dataFile(t, "sums.jsonl", twoSums)
	out, errs := temper(t, exitDone, "data", "inspect", path, "--map", "prompt=question,response=answer", "--rows", "1")
	for _, want := range []string{
		path + ":1  10 tokens, 2 supervised (20.0 %)",
		"<｜User｜>1+1?<｜Assistant｜></think>⟦2<｜end▁of▁sentence｜>⟧",
		"2 rows, 2 examples of kind supervised",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(errs, "bytes are shown as tokens") {
		t.Errorf("stderr does not say that there is no tokenizer: %s", errs)
	}
}

func TestDataJSON(t *testing.T) {
	path := dataFile(t, "sums.jsonl", twoSums)
	common := []string{"--map", "prompt=question,response=answer", "--json"}
	out, _ := temper(t, exitDone, append([]string{"data", "inspect", path, "--line", "2", "--tokens"}, common...)...)
	var inspected struct {
		Examples []struct {
			Source struct{ Line int }
			Spans  []struct {
				Text       string
				Supervised bool
				IDs        []int32
			}
		}
		Summary struct {
			Kind   string
			Report struct{ Rows, Supervised int }
		}
	}
	if err := json.Unmarshal([]byte(out), &inspected); err != nil {
		t.Fatal(err)
	}
	spans := inspected.Examples[0].Spans
	if len(inspected.Examples) != 1 || inspected.Examples[0].Source.Line != 2 || len(spans) != 2 || !spans[1].Supervised || len(spans[1].IDs) != 2 {
		t.Errorf("examples %+v", inspected.Examples)
	}
	if inspected.Summary.Report.Rows != 2 || inspected.Summary.Report.Supervised != 4 {
		t.Errorf("summary %+v", inspected.Summary)
	}
	out, _ = temper(t, exitDone, append([]string{"data", "pack", path, "--seq-len", "24"}, common...)...)
	var packed struct {
		Packing struct {
			Rows, Tokens int
			Efficiency   float64
		}
		Rows []struct {
			Segments []struct{ Start, End int }
		}
	}
	if err := json.Unmarshal([]byte(out), &packed); err != nil {
		t.Fatal(err)
	}
	if packed.Packing.Rows != 1 || packed.Packing.Tokens != 20 || len(packed.Rows[0].Segments) != 2 || packed.Rows[0].Segments[1].Start != 10 {
		t.Errorf("packed %+v", packed)
	}
}

func TestDataRefuses(t *testing.T) {
	bad := dataFile(t, "bad.jsonl", `{"prompt": "x", "response": "y"}`+"\n{\"prompt\":\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"inspect"}, exitUsage, "takes one FILE"},
		{[]string{"inspect", bad, "--format", "csv"}, exitUsage, `format "csv" is not known`},
		{[]string{"inspect", bad, "--turns", "first"}, exitUsage, `turns "first" is not known`},
		{[]string{"inspect", bad, "--encoding", "chatml"}, exitUsage, `encoding "chatml" is not known`},
		{[]string{"inspect", bad, "--color", "red"}, exitUsage, `--color is "red"`},
		{[]string{"inspect", bad}, exitFailed, bad + ":2:11: not valid JSON: the text ends where a value is expected"},
		{[]string{"inspect", bad, "--skip-bad", "--line", "2"}, exitFailed, "line 2 of " + bad + " gave no example"},
		{[]string{"pack", bad, "--skip-bad", "--seq-len", "4"}, exitFailed, "no row is left"},
		{[]string{"inspect", "nowhere.jsonl"}, exitFailed, "nowhere.jsonl"},
		{[]string{"inspect", bad, "--tokenizer", "nowhere"}, exitFailed, "nowhere"},
	} {
		out, errs := temper(t, c.code, append([]string{"data"}, c.args...)...)
		if !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("%v: want %q\nstdout %s\nstderr %s", c.args, c.want, out, errs)
		}
	}
}
