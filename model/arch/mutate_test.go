package arch

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whatever the values of a config are, it is refused with a sentence or understood:
// then it survives writing and all its counts are finite and positive.
func TestMutatedConfigs(t *testing.T) {
	names := Builtins()
	texts := make(map[string][]byte, len(names))
	for _, name := range names {
		texts[name] = must(t, name).MarshalHF()
	}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		var m map[string]any
		if err := json.Unmarshal(texts[rapid.SampledFrom(names).Draw(t, "model")], &m); err != nil {
			t.Fatal(err)
		}
		delete(m, "compress_rates")
		var keys []string
		for i := range fields {
			if f := Family(m["model_type"].(string)); fields[i].legalIn(f) {
				keys = append(keys, fields[i].key)
			}
		}
		for range rapid.IntRange(1, 3).Draw(t, "edits") {
			key := rapid.SampledFrom(keys).Draw(t, "key")
			m[key] = rapid.OneOf(
				rapid.Just[any](nil), rapid.Just[any](true), rapid.Just[any]("yarn"), rapid.Just[any]([]int{1, 2}), rapid.Just[any](0.5),
				rapid.Map(rapid.IntRange(-2, 1<<25), func(n int) any { return n }),
				rapid.Map(rapid.IntRange(0, 25), func(n int) any { return 1 << n }),
				rapid.Map(rapid.IntRange(0, 25), func(n int) any { return 3 << n }),
			).Draw(t, "value")
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		accepted++
		back, err := ParseConfig(c.MarshalHF())
		if err != nil {
			t.Fatalf("what was read cannot be read again: %v\n%s", err, text)
		}
		if d := cmp.Diff(c, back); d != "" {
			t.Fatal(d)
		}
		checkCounts(t, c)
	})
	t.Logf("%d mutations accepted", accepted)
	if accepted == 0 && !testing.Short() { // of a hundred; a short run draws twenty
		t.Error("no mutation was ever accepted: the test looks at nothing")
	}
}

// checkCounts holds what can be asked of a legal config to what must be true of it.
func checkCounts(t interface{ Fatalf(string, ...any) }, c *Config) {
	if total, mtp, active := c.Count(); total < 1 || mtp < 0 || active < 1 || active > total {
		t.Fatalf("Count() = %d, %d, %d", total, mtp, active)
	}
	for _, muon := range []bool{true, false} {
		if s := c.StateBytes(muon); s.Weights < 4 || s.Gradients < 4 || s.Optimizer < 4 || s.Total() < s.Weights {
			t.Fatalf("StateBytes(%t) = %+v", muon, s)
		}
	}
	for _, seq := range []int{1, 4096, maxSeq} {
		for _, by := range []Convention{ByLedger, Megatron, Verl, Torchtitan} {
			if f, err := c.FLOPsPerToken(by, seq); err != nil || !(f > 0) || math.IsInf(f, 0) {
				t.Fatalf("FLOPsPerToken(%s, %d) = %g, %v", by, seq, f, err)
			}
		}
	}
	if cut, err := c.WithLayers(1); err != nil || cut.NumLayers != 1 {
		t.Fatalf("WithLayers(1): %v", err)
	}
}
