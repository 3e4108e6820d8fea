package kerneltest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"math"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

// SameBits fails t unless got and want agree in every bit, all NaNs being one.
func SameBits(t testing.TB, name string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d elements, want %d", name, len(got), len(want))
	}
	for i, g := range got {
		if w := want[i]; canonical(g) != canonical(w) {
			t.Fatalf("%s: element %d of %d is %g (%#08x), want %g (%#08x)",
				name, i, len(got), g, math.Float32bits(g), w, math.Float32bits(w))
		}
	}
}

// canonical returns x's bits, those of one NaN for all.
func canonical(x float32) uint32 {
	if x != x {
		return 0x7fc00000
	}
	return math.Float32bits(x)
}

// Digest condenses the bits of many results into one line, by which machines
// can be compared. The zero value is empty.
type Digest struct{ h hash.Hash }

// Add appends xs, all NaNs being one.
func (d *Digest) Add(xs ...float32) {
	if d.h == nil {
		d.h = sha256.New()
	}
	b := make([]byte, 0, 4*len(xs)+8)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(xs)))
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint32(b, canonical(x))
	}
	d.h.Write(b)
}

// String returns the digest of all that was added.
func (d *Digest) String() string {
	if d.h == nil {
		return "empty"
	}
	return hex.EncodeToString(d.h.Sum(nil)[:16])
}

// EachSetting runs f as a subtest for every path that this machine has and
// each of the given numbers of threads. It must not be called in parallel with
// other tests that run kernels.
func EachSetting(t *testing.T, threads []int, f func(t *testing.T)) {
	t.Helper()
	for _, path := range kernel.Paths() {
		for _, n := range threads {
			t.Run(fmt.Sprintf("%s/threads=%d", path, n), func(t *testing.T) {
				defer Set(path, n)()
				f(t)
			})
		}
	}
}

// Set selects a path and a number of threads and returns what restores the
// old ones. It panics if this machine lacks the path.
func Set(path string, threads int) (restore func()) {
	oldPath, err := kernel.SetPath(path)
	if err != nil {
		panic(err)
	}
	oldThreads := kernel.SetThreads(threads)
	return func() {
		kernel.SetThreads(oldThreads)
		if _, err := kernel.SetPath(oldPath); err != nil {
			panic(err)
		}
	}
}
