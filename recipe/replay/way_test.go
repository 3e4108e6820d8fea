package replay

import (
	"strings"
	"testing"
)

func TestOtherWayDiffersWhereItCan(t *testing.T) {
	all := []string{"go", "avx2", "avx512"}
	for _, c := range []struct {
		asked, run Way
		paths      []string
		cores      int
		want       Way
	}{
		{Way{}, Way{SIMD: "avx512", Threads: 8}, all, 8, Way{SIMD: "avx2", Threads: 7}},
		{Way{}, Way{SIMD: "avx2", Threads: 8}, all, 16, Way{SIMD: "avx512", Threads: 16}},
		{Way{}, Way{SIMD: "avx2", Threads: 2}, all[:2], 2, Way{SIMD: "go", Threads: 3}},
		{Way{}, Way{SIMD: "go", Threads: 1}, all[:1], 1, Way{SIMD: "go", Threads: 2}},
		{Way{}, Way{}, all, 4, Way{SIMD: "avx512", Threads: 4}},
		{Way{SIMD: "go", Threads: 5, Micro: 3, Recompute: "full"}, Way{SIMD: "go", Threads: 5}, all, 4, Way{SIMD: "go", Threads: 5, Micro: 3, Recompute: "full"}},
	} {
		got, err := c.asked.Other(c.run, c.paths, c.cores)
		if err != nil || got != c.want {
			t.Errorf("%+v of a run on %+v: %+v, %v, want %+v", c.asked, c.run, got, err, c.want)
		}
	}
	for _, c := range []struct {
		asked Way
		rule  string
	}{
		{Way{SIMD: "sse"}, "use one of go, avx2, avx512"},
		{Way{Threads: -1}, "[1, 1024]"},
		{Way{Threads: 2000}, "[1, 1024]"},
		{Way{Micro: -2}, "micro: -2"},
		{Way{Recompute: "some"}, "recompute"},
	} {
		if _, err := c.asked.Other(Way{}, all, 4); err == nil || !strings.Contains(err.Error(), c.rule) {
			t.Errorf("%+v: %v, want %q", c.asked, err, c.rule)
		}
	}
}

func TestOtherMicroBatchesCutSlotsOtherwise(t *testing.T) {
	for _, c := range []struct{ micro, rows, slots, want int }{
		{8, 8, 1, 4}, {1, 8, 1, 2}, {2, 8, 1, 1}, {3, 8, 2, 2}, {8, 8, 2, 2}, {1, 8, 4, 2}, {8, 8, 8, 1}, {1, 1, 1, 1}, {2, 3, 2, 1},
	} {
		if got := otherMicro(c.micro, c.rows, c.slots); got != c.want {
			t.Errorf("%d of %d rows in %d slots: %d, want %d", c.micro, c.rows, c.slots, got, c.want)
		}
	}
}
