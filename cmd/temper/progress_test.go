package main

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/data"
)

// Rows that are not learnt as they stand are counted, and the first ones named.
func TestLeftOutRowsAreNamed(t *testing.T) {
	r := data.Report{
		Bad: 5, TooLong: 2, Unlearnt: 1, Truncated: 4,
		FirstBad:  []string{"a.jsonl:1: empty", "a.jsonl:2: empty", "a.jsonl:3: empty", "a.jsonl:4: empty"},
		FirstLong: []string{"a.jsonl:7: the row has 99 tokens", "a.jsonl:8: the row has 98 tokens", "a.jsonl:9: the row has 97 tokens"},
	}
	var b strings.Builder
	leftOut(&b, "dpo", &r)
	want := `temper: stage dpo: 5 bad rows left out
temper:   a.jsonl:1: empty
temper:   a.jsonl:2: empty
temper:   a.jsonl:3: empty
temper:   and 2 more
temper: stage dpo: 3 rows too long, left out
temper:   a.jsonl:7: the row has 99 tokens
temper:   a.jsonl:8: the row has 98 tokens
temper:   a.jsonl:9: the row has 97 tokens
temper: stage dpo: 4 examples truncated
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	if leftOut(&b, "dpo", &data.Report{}); b.Len() > 0 {
		t.Errorf("nothing was left out: %s", b.String())
	}
}
