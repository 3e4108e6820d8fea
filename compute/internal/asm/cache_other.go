//go:build !amd64 || noasm

package asm

// SecondLevelCache returns the size in bytes of the cache that this
// processor's cores have for themselves, or 0 if it does not tell.
func SecondLevelCache() int { return 0 }
