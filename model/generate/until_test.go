package generate

import (
	"context"
	"slices"
	"testing"
)

// TestUntil: a function ends what stop sequences of one token end, with drafts and
// without, and sees every sequence with its prompt.
func TestUntil(t *testing.T) {
	for name, m := range models(t) {
		t.Run(name, func(t *testing.T) {
			var stops, untils []Request
			for _, r := range randomRequests(m, 4, 20) {
				r.Stop = [][]int32{{4}, {11}}
				stops = append(stops, r)
				prompt := r.Prompt
				r.Stop = nil
				r.Until = func(sequence []int32) bool {
					if len(sequence) <= len(prompt) || !slices.Equal(sequence[:len(prompt)], prompt) {
						t.Errorf("a sequence of %d tokens, of which %d are the prompt", len(sequence), len(prompt))
					}
					last := sequence[len(sequence)-1]
					return last == 4 || last == 11
				}
				untils = append(untils, r)
			}
			for _, o := range []Options{{Sequences: 5}, {Sequences: 3, Speculate: true}} {
				var results [][]Result
				for _, rs := range [][]Request{stops, untils} {
					e, err := New(m, o)
					if err != nil {
						t.Fatal(err)
					}
					got, err := e.Run(context.Background(), rs, nil)
					if err != nil {
						t.Fatal(err)
					}
					results = append(results, got)
				}
				ended := 0
				for i := range stops {
					a, b := results[0][i], results[1][i]
					same := slices.EqualFunc(a.Tokens, b.Tokens, func(x, y Token) bool { return x.ID == y.ID && x.LogProb == y.LogProb })
					if !same || a.Reason != b.Reason {
						t.Errorf("request %d: %d tokens (%v), want %d (%v)", i, len(b.Tokens), b.Reason, len(a.Tokens), a.Reason)
					}
					if a.Reason == Stopped {
						ended++
					}
				}
				if ended == 0 {
					t.Error("nothing was stopped")
				}
			}
		})
	}
}
