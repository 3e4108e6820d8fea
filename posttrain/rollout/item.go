package rollout

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/posttrain/reward"
	"github.com/temper-ml/temper/posttrain/rollout/journal"
)

// Item is a question with what was answered, in words, for those who read a round.
type Item struct {
	Round int64 `json:"round"`
	// Cursor is the question's place in the endless order, Place its file and line.
	Cursor int64  `json:"cursor"`
	Place  string `json:"place"`
	// Asked is the text that the model was given, special tokens spelled out.
	Asked   string       `json:"asked"`
	Answers []ItemAnswer `json:"answers"`
}

// ItemAnswer is one answer.
type ItemAnswer struct {
	Sample int `json:"sample"`
	// Text is all of the answer, special tokens spelled out.
	Text   string `json:"text"`
	Tokens int    `json:"tokens"`
	// Ended says how the answer ended: eos, stop, length, context, or running.
	Ended   string  `json:"ended"`
	LogProb float64 `json:"logprob"`
	// Verdict is nil where nothing is judged, or not yet.
	Verdict *reward.Verdict `json:"verdict,omitempty"`
}

// Items returns what a round's file says, in the order of questions. It needs no data
// files, and the round need not be complete. decode is the tokenizer's.
func Items(path string, decode func(ids []int32) string) ([]Item, error) {
	s, err := journal.Read(path)
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	group := int(s.Header.Group)
	items := make([]Item, len(s.Questions))
	for i := range items {
		q := &s.Questions[i]
		items[i] = Item{Round: s.Header.Number, Cursor: s.Header.First + int64(i), Place: q.Place, Asked: decode(q.Tokens)}
	}
	for _, i := range slices.Sorted(maps.Keys(s.Answers)) {
		a := s.Answers[i]
		if i/group >= len(items) || len(a.Tokens) == 0 {
			continue
		}
		x := ItemAnswer{Sample: i % group, Text: decode(a.Tokens), Tokens: len(a.Tokens), Ended: a.Reason.String(), Verdict: a.Verdict}
		for _, p := range a.LogProb {
			x.LogProb += float64(p)
		}
		if x.LogProb-x.LogProb != 0 {
			return nil, fmt.Errorf("rollout: %s: answer %d has a log-probability of %v", path, i, x.LogProb)
		}
		items[i/group].Answers = append(items[i/group].Answers, x)
	}
	return items, nil
}

// Files returns the files of rounds in a directory, in the order of their numbers.
func Files(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	numbers := map[int64]string{}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), fileSuffix)
		if n, err := strconv.ParseInt(digits, 10, 64); ok && err == nil && e.Type().IsRegular() {
			numbers[n] = filepath.Join(dir, e.Name())
		}
	}
	var files []string
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		files = append(files, numbers[n])
	}
	return files, nil
}
