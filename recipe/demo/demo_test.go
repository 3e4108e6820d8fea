package demo

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestTextIsTheSameForTheSameSeed(t *testing.T) {
	a, b := Text(1, 50), Text(1, 50)
	if a != b {
		t.Error("two texts of one seed differ")
	}
	if a == Text(2, 50) {
		t.Error("another seed gives the same text")
	}
	if got := strings.Count(a, "\n\n"); got != 50 {
		t.Errorf("%d paragraphs, want 50", got)
	}
}

// Each answer is checked by reading the question back: value times size of unit.
func TestAnswersAreRight(t *testing.T) {
	size := map[string]int{"mm": 1, "cm": 10, "m": 1000, "km": 1e6, "g": 1, "kg": 1000, "t": 1e6, "ml": 1, "l": 1000}
	re := regexp.MustCompile(`\d+|\b(?:mm|cm|m|km|g|kg|t|ml|l)\b`)
	train, held := Questions(1, 140)
	if len(held) != 140 {
		t.Errorf("%d held-out questions, want 140", len(held))
	}
	for _, q := range append(train, held...) {
		answer := strings.Fields(q.Answer)
		parts := re.FindAllString(q.Prompt, -1)
		var n int
		units := map[string]bool{}
		for _, p := range parts {
			if v, err := strconv.Atoi(p); err == nil {
				n = v
			} else {
				units[p] = true
			}
		}
		delete(units, answer[1])
		if len(units) != 1 {
			t.Fatalf("%q: cannot tell the unit", q.Prompt)
		}
		got, _ := strconv.Atoi(answer[0])
		for from := range units {
			if n*size[from] != got*size[answer[1]] {
				t.Errorf("%q is answered %q", q.Prompt, q.Answer)
			}
		}
	}
}

// The same number in the same conversion must not be on both sides.
func TestHeldOutIsHeldOut(t *testing.T) {
	train, held := Questions(1, 140)
	key := func(q Question) string { return q.Answer + "/" + regexp.MustCompile(`\d+ \w+`).FindString(q.Prompt) }
	seen := map[string]bool{}
	for _, q := range train {
		seen[key(q)] = true
	}
	for _, q := range held {
		if seen[key(q)] {
			t.Errorf("%q is in both parts", q.Prompt)
		}
	}
}

func TestJSONL(t *testing.T) {
	train, _ := Questions(1, 7)
	for _, line := range strings.Split(strings.TrimSpace(JSONL(train[:3])), "\n") {
		var q Question
		if err := json.Unmarshal([]byte(line), &q); err != nil || q.Answer == "" {
			t.Errorf("%q: %v", line, err)
		}
	}
}
