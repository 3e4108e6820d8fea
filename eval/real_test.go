package eval

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestHarmlessPairs: a model that has learnt nothing prefers neither answer of real
// dialogues, once their lengths do not count.
func TestHarmlessPairs(t *testing.T) {
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("real data: set TEMPER_DATA to the directory that holds it")
	}
	_, _, m := smallModel(t)
	s := Suite{File: filepath.Join(dir, "hh_harmless_test.jsonl.gz"), BadRows: "skip", Overlong: "skip", Limit: 120, Measure: "token"}
	q := load(t, s, 512)
	if q.Kind != Preference || q.Rows != 2312 {
		t.Fatalf("%d rows of kind %s", q.Rows, q.Kind)
	}
	r, _ := ask(t, q, m)
	token := r.Metrics["token"]
	said, _ := json.Marshal(r.Metrics)
	t.Logf("%d pairs, %d bad and %d too long before them: %s", q.Len(), q.Bad, q.Long, said)
	if i := token.Interval; i[0] > 0.5 || i[1] < 0.5 {
		t.Errorf("%.1f %% of %d pairs are preferred, with an interval of %v: an untrained model prefers nothing", 100*token.Value, token.Count, *i)
	}
}
