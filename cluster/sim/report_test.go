package sim

import (
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata; read the diff before committing it")

// What a person and what a machine get to read of one disturbed step, kept as
// a transcript: a changed number must be meant.
func TestTranscript(t *testing.T) {
	y := ordinary
	for _, x := range []*Time{&y.attention, &y.experts, &y.route, &y.send, &y.reduce, &y.update} {
		*x *= 1e6
	}
	c, err := y.program(t).Compare(&Faults{
		Seed: 11, Slow: []Slow{{Target{Ranks: []int{21}}, 1.3}}, Links: []Link{{Target{Nodes: []int{6}}, 2, "all"}},
		Routing: &Routing{Zipf: 0.4, Variation: 0.2}, Stops: []Halt{{Rank: 9, AtSeconds: 5, Cause: "hung"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	c.Explain(&b)
	report, err := json.MarshalIndent(c.Report(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got := b.String() + "\n" + string(report) + "\n"
	const path = "testdata/disturbed.txt"
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("run with -rewrite and read the diff; got\n%s", got)
	}
}
