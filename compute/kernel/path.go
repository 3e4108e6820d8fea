package kernel

import "github.com/temper-ml/temper/compute/internal/asm"

// Path returns the instruction set that kernels run with: "avx512" or "avx2"
// (amd64), "neon" (arm64) or "go" (everywhere). The best one that the
// processor has is chosen at start; the environment variable TEMPER_SIMD names
// another. Results never depend on it.
func Path() string { return asm.Active().String() }

// SetPath selects the instruction set by name and returns the one before. It
// is an error to name a path that Paths does not list. SetPath must not be
// called while kernels run.
func SetPath(p string) (old string, err error) {
	l, err := asm.Parse(p)
	if err != nil {
		return Path(), err
	}
	return asm.SetActive(l).String(), nil
}

// Paths lists the paths that this processor and this build can run, slowest
// first. "go" is always among them.
func Paths() []string {
	var ps []string
	for _, l := range asm.Available() {
		ps = append(ps, l.String())
	}
	return ps
}
