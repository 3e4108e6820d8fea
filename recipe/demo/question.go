package demo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/internal/detrand"
)

// conversion is one pair of units: one From is Factor To.
type conversion struct {
	from, to string
	factor   int
}

var conversions = []conversion{
	{"km", "m", 1000},
	{"m", "cm", 100},
	{"m", "mm", 1000},
	{"cm", "mm", 10},
	{"kg", "g", 1000},
	{"t", "kg", 1000},
	{"l", "ml", 1000},
}

// most is the largest number asked for.
const most = 199

// Question is one instruction with its only right answer.
type Question struct {
	Prompt string `json:"prompt"`
	Answer string `json:"response"`
}

// Questions returns the training questions and about heldOut others: every
// number from 2 to 199 in every conversion, in both directions and two wordings
// each, in a keyed order. The held-out numbers of a conversion never occur with
// it in training, in either direction or any wording.
func Questions(seed uint64, heldOut int) (train, held []Question) {
	for c, conv := range conversions {
		order := detrand.Key(seed, "demo numbers", uint64(c)).Permutation(most - 1)
		cut := heldOut*(c+1)/len(conversions) - heldOut*c/len(conversions)
		for i, n := range order {
			both := ask(seed, conv, n+2, c)
			if i < cut {
				held = append(held, both[i%len(both)])
			} else {
				train = append(train, both...)
			}
		}
	}
	shuffle(train, detrand.Key(seed, "demo train order"))
	shuffle(held, detrand.Key(seed, "demo held-out order"))
	return train, held
}

func shuffle[T any](q []T, s detrand.Stream) {
	p := s.Permutation(len(q))
	old := slices.Clone(q)
	for i, j := range p {
		q[i] = old[j]
	}
}

// ask words questions on n units of conv: from the larger unit to the smaller
// and back, each in two of the wordings.
func ask(seed uint64, conv conversion, n, c int) []Question {
	w := &words{stream: detrand.Key(seed, "demo question", uint64(c), uint64(n))}
	large, small := strconv.Itoa(n), strconv.Itoa(n*conv.factor)
	var qs []Question
	for range 2 {
		form := wordings[w.number(0, len(wordings)-1)]
		qs = append(qs,
			Question{fmt.Sprintf(form, large, conv.from, conv.to), small + " " + conv.to},
			Question{fmt.Sprintf(form, small, conv.to, conv.from), large + " " + conv.from})
	}
	return qs
}

// wordings ask for [1] of unit [2] in unit [3].
var wordings = []string{
	"Convert %[1]s %[2]s to %[3]s.",
	"How many %[3]s are %[1]s %[2]s?",
	"What is %[1]s %[2]s in %[3]s?",
	"Express %[1]s %[2]s in %[3]s.",
}

// JSONL writes rows one per line.
func JSONL[T any](rows []T) string {
	var b strings.Builder
	for _, r := range rows {
		line, err := json.Marshal(r)
		if err != nil { // strings and truth values always encode
			panic("demo: " + err.Error())
		}
		b.Write(line)
		b.WriteByte('\n')
	}
	return b.String()
}
