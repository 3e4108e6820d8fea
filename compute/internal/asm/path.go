package asm

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
)

// Level is an instruction set that kernels are written for.
type Level int32

// The levels. Every processor has Go.
const (
	Go     Level = iota // plain Go, the definition
	AVX2                // amd64: 256-bit registers with FMA
	AVX512              // amd64: 512-bit registers: F, BW, DQ, VL
	NEON                // arm64: 128-bit registers
)

var names = [...]string{Go: "go", AVX2: "avx2", AVX512: "avx512", NEON: "neon"}

// String returns the level's name as TEMPER_SIMD and SetPath spell it.
func (l Level) String() string { return names[l] }

var (
	available = detect() // slowest first
	active    atomic.Int32
)

func init() {
	active.Store(int32(available[len(available)-1]))
	name, ok := os.LookupEnv("TEMPER_SIMD")
	if !ok || name == "" {
		return
	}
	l, err := Parse(name)
	if err != nil {
		// A run that asks for a path by name must not silently get another.
		fmt.Fprintf(os.Stderr, "temper: TEMPER_SIMD: %v\n", err)
		os.Exit(2)
	}
	active.Store(int32(l))
}

// Active returns the level that kernels run at now.
func Active() Level { return Level(active.Load()) }

// SetActive selects the level that kernels run at and returns the one before.
// The caller must have got l from Parse.
func SetActive(l Level) (old Level) { return Level(active.Swap(int32(l))) }

// Available lists the levels that this processor and build can run, slowest
// first.
func Available() []Level { return slices.Clone(available) }

// Parse returns the level of the given name. It is an error if the name is
// unknown or if this processor, or this build, lacks the level.
func Parse(name string) (Level, error) {
	for i, n := range names {
		if n != name {
			continue
		}
		if l := Level(i); slices.Contains(available, l) {
			return l, nil
		}
		return Go, fmt.Errorf("kernel: path %q is not available here, want one of %v", name, available)
	}
	return Go, fmt.Errorf("kernel: unknown path %q, want one of %s", name, strings.Join(names[:], ", "))
}
