package kernelbench

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
)

var (
	elements = flag.Int("elements", 1<<22, "with -show: numbers in a matrix of the row kernels")
	samples  = flag.Int("samples", 0, "with -show: samples of a row kernel; many short ones see past busy neighbours")
	sample   = flag.Duration("sample", 0, "with -show: time of four samples of a row kernel")
	rowDim   = flag.Int("dim", 4096, "with -show: length of a row of the row kernels")
)

func TestShowRows(t *testing.T) {
	if !*show {
		t.Skip("run with -show to measure this machine")
	}
	o := Options{Threads: []int{1}, Samples: *samples, Time: *sample}
	if *on != "" {
		o.Paths = []string{*on}
	}
	rs, err := RunRows(o, *elements, *rowDim)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+3 < len(rs); i += 4 {
		if strings.Contains(rs[i].Name, *shape) {
			fmt.Printf("%-46s %6.1f GB/s of copy's %5.1f, %4.2f (pairs %.2f..%.2f), %7.3f ns/result\n",
				rs[i].Name[5:], rs[i+1].Value, rs[i].Value, rs[i+2].Median, rs[i+2].Min, rs[i+2].Value, rs[i+3].Value)
		}
	}
}

func TestRunRows(t *testing.T) {
	path, threads := kernel.Path(), kernel.Threads()
	rs, err := RunRows(Options{Paths: kernel.Paths(), Threads: []int{2}, Samples: 2, Time: time.Microsecond}, 640, 64)
	if err != nil {
		t.Fatal(err)
	}
	if want := 4 * len(Rows(640, 64)) * len(kernel.Paths()); len(rs) != want {
		t.Fatalf("%d results, want %d", len(rs), want)
	}
	for _, r := range rs {
		if !(r.Value > 0 && r.Min > 0 && r.Min <= r.Median) || r.N != 2 || r.Unit == "" {
			t.Errorf("result makes no sense: %+v", r)
		}
	}
	if kernel.Path() != path || kernel.Threads() != threads {
		t.Errorf("left on %s with %d threads, want %s with %d", kernel.Path(), kernel.Threads(), path, threads)
	}
}
