package kerneltest

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/temper-ml/temper/compute/kernel"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/vector.txt; inspect the difference: it must have a reason")

// TestRowKernels runs every kernel in every setting against the plain loops
// on one thread.
func TestRowKernels(t *testing.T) {
	trials := uint64(32)
	if testing.Short() {
		trials = 8
	}
	for _, k := range RowKernels() {
		t.Run(k.Name, func(t *testing.T) {
			for i := range trials {
				checkRow(t, k, NewDraw(k.Name, i, Kind(i%uint64(Kinds)), false), i)
			}
			for i := range trials / 16 {
				checkRow(t, k, NewDraw(k.Name, i, Kind(i%uint64(Kinds)), true), i)
			}
		})
	}
}

// checkRow runs one trial in all settings.
func checkRow(t *testing.T, k RowKernel, d *Draw, i uint64) {
	t.Helper()
	call := k.Build(d)
	restore := Set("go", 1)
	call()
	restore()
	want := d.State()
	d.CheckGuards(t)
	for _, path := range kernel.Paths() {
		for _, n := range threadCounts {
			d.Reset()
			restore := Set(path, n)
			call()
			restore()
			SameBits(t, fmt.Sprintf("%s, trial %d, %v, large %v, on %s with %d threads", k.Name, i, d.Kind, d.Large, path, n), d.State(), want)
			d.CheckGuards(t)
		}
	}
}

const goldenFile = "testdata/vector.txt"

//go:embed testdata/vector.txt
var golden string // embedded, so that a cross-compiled suite runs anywhere

// TestRowKernelsGolden holds the results of every kernel on this machine's
// best path to those recorded: they are the same on all machines.
func TestRowKernelsGolden(t *testing.T) {
	var b strings.Builder
	for _, k := range RowKernels() {
		var dig Digest
		for i := range uint64(16) {
			d := NewDraw(k.Name, 1000+i, Kind(i%uint64(Kinds)), false)
			k.Build(d)()
			dig.Add(d.State()...)
		}
		fmt.Fprintf(&b, "%s %s\n", dig.String(), k.Name)
	}
	if *rewrite {
		if err := os.WriteFile(goldenFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, want := strings.Split(b.String(), "\n"), strings.Split(golden, "\n")
	if len(got) != len(want) {
		t.Fatalf("%d kernels, golden file has %d; rewrite it with -rewrite", len(got)-1, len(want)-1)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("results changed on %s\n got %s\nwant %s", kernel.Path(), got[i], want[i])
		}
	}
}

// FuzzRowKernels lets the fuzzer choose kernel, trial and kind of values.
func FuzzRowKernels(f *testing.F) {
	f.Add(uint16(0), uint64(0), uint8(0))
	ks := RowKernels()
	f.Fuzz(func(t *testing.T, which uint16, trial uint64, kind uint8) {
		k := ks[int(which)%len(ks)]
		checkRow(t, k, NewDraw(k.Name, trial, Kind(kind)%Kinds, false), trial)
	})
}
