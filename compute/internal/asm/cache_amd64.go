//go:build amd64 && !noasm

package asm

// SecondLevelCache returns the size in bytes of the cache that this
// processor's cores have for themselves, or 0 if it does not tell.
func SecondLevelCache() int {
	const caches = 0x80000006 // both AMD's and Intel's
	if most, _, _, _ := cpuid(0x80000000, 0); most < caches {
		return 0
	}
	_, _, c, _ := cpuid(caches, 0)
	return int(c>>16) << 10
}
