//go:build amd64 && !noasm

package asm

import "golang.org/x/sys/cpu"

// detect returns the levels of this processor. The checks include the
// operating system's support for the wide registers.
func detect() []Level {
	x := &cpu.X86
	if !x.HasAVX2 || !x.HasFMA || !x.HasBMI2 {
		return []Level{Go}
	}
	if x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL {
		return []Level{Go, AVX2, AVX512}
	}
	return []Level{Go, AVX2}
}
