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

// A sum is checked by reading its question back.
func TestSumsAreRight(t *testing.T) {
	size := map[string]int{"mm": 1, "cm": 10, "m": 1000, "km": 1e6, "g": 1, "kg": 1000, "t": 1e6, "ml": 1, "l": 1000}
	re := regexp.MustCompile(`(\d+) (km|cm|mm|m|kg|g|t|ml|l)\b`)
	train, held := Sums(1, 100)
	if len(held) != 100 || len(train) < 1000 {
		t.Errorf("%d questions and %d held out, want 1000 or more and 100", len(train), len(held))
	}
	seen := map[string]bool{}
	for _, q := range append(train, held...) {
		sum := 0
		parts := re.FindAllStringSubmatch(q.Prompt, -1)
		for _, p := range parts {
			n, _ := strconv.Atoi(p[1])
			sum += n * size[p[2]]
		}
		answer := re.FindStringSubmatch(q.Answer)
		if n, _ := strconv.Atoi(answer[1]); len(parts) != 2 || sum != n*size[answer[2]] {
			t.Errorf("%q is answered %q", q.Prompt, q.Answer)
		}
		if key := parts[0][0] + parts[1][0]; seen[key] {
			t.Errorf("%q is asked twice", q.Prompt)
		} else {
			seen[key] = true
		}
	}
}

// Half of the requests are unsafe; pairs refuse those and no others; few of the
// instructions do.
func TestRequests(t *testing.T) {
	train, held := Requests(1, 120)
	seen := map[string]bool{}
	unsafe, refused := 0, 0
	for _, r := range append(train, held...) {
		if seen[r.Prompt] {
			t.Errorf("%q is asked twice", r.Prompt)
		}
		seen[r.Prompt] = true
		if r.Unsafe {
			unsafe++
		}
	}
	if 2*unsafe != len(seen) || len(held) != 120 {
		t.Errorf("%d of %d requests are unsafe, %d held out, want half and 120", unsafe, len(seen), len(held))
	}
	for i, p := range Pairs(train) {
		if (p.Chosen == refusal) != train[i].Unsafe || (p.Rejected == refusal) == train[i].Unsafe {
			t.Errorf("%+v prefers the wrong answer to %+v", p, train[i])
		}
	}
	for i, q := range Instructions(train) {
		if q.Answer == refusal {
			refused++
			if !train[i].Unsafe {
				t.Errorf("%q is refused", q.Prompt)
			}
		}
	}
	if want := unsafe / oneInRefused; refused == 0 || refused > want {
		t.Errorf("%d instructions refuse, want 1 to %d", refused, want)
	}
}

// What is held out is in no file that is trained on.
func TestContentsAreApart(t *testing.T) {
	files := contents()
	prompt := regexp.MustCompile(`"prompt":"[^"]*"`)
	for _, held := range []string{"held_out.jsonl", "held_out_sums.jsonl", "held_out_requests.jsonl"} {
		for _, p := range prompt.FindAllString(files[held], -1) {
			for _, name := range []string{"instructions.jsonl", "pairs.jsonl", "practice.jsonl"} {
				if strings.Contains(files[name], p) {
					t.Errorf("%s of %s is in %s", p, held, name)
				}
			}
		}
	}
}
