package asm

import "testing"

func TestSecondLevelCacheIsPlausible(t *testing.T) {
	n := SecondLevelCache()
	if n != 0 && (n < 64<<10 || n > 256<<20) {
		t.Errorf("second-level cache of %d bytes", n)
	}
	t.Logf("second-level cache: %d KiB", n>>10)
}
