//go:build arm64 && !noasm

package asm

// detect returns the levels of this processor: every arm64 has NEON.
func detect() []Level { return []Level{Go, NEON} }
