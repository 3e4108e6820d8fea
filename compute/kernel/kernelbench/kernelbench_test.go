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
	show  = flag.Bool("show", false, "measure everything and print it, as temper bench kernels does")
	shape = flag.String("shape", "", "with -show: only shapes whose name contains this")
	on    = flag.String("on", "", "with -show: only this path")
	cpu   = flag.Bool("cpu", false, "with -show and -threads: by processor time, for a machine that is busy otherwise")
	with  = flag.Int("threads", 0, "with -show: only this number of threads")
)

func TestShow(t *testing.T) {
	if !*show {
		t.Skip("run with -show to measure this machine")
	}
	o := Options{}
	if *on != "" {
		o.Paths = []string{*on}
	}
	if *with > 0 {
		o.Threads = []int{*with}
		if *cpu {
			o.Clock = processorTime(*with)
		}
	}
	for _, s := range append(Training(), Skinny()...) {
		if strings.Contains(s.Name, *shape) {
			o.Shapes = append(o.Shapes, s)
		}
	}
	rs, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+2 < len(rs); i += 3 {
		name, peak, speed := strings.TrimPrefix(rs[i].Name, "peak/"), rs[i].Value, rs[i+1]
		if *cpu {
			// The threads may never have had their cores at the same time: take
			// one core's peak for each.
			peak = onePeak(t, name) * float64(*with) / 1e9
		}
		fmt.Printf("%-62s %6.1f GFLOP/s (min %.1f median %.1f n %d) peak %.1f share %.1f%%\n",
			name, speed.Value, speed.Min, speed.Median, speed.N, peak, 100*speed.Value/peak)
	}
}

// onePeak returns the best peak of one thread on the path that name names.
func onePeak(t *testing.T, name string) (best float64) {
	t.Helper()
	for _, path := range kernel.Paths() {
		if !strings.Contains(name, "/"+path+"/") {
			continue
		}
		for range 20 {
			p, err := kernel.PeakFMA(path, 1, time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			best = max(best, p)
		}
	}
	return best
}

func TestRun(t *testing.T) {
	small := []Shape{
		{Name: "one", Form: kernel.NT, M: 9, N: 10, K: 11},
		{Name: "group", Form: kernel.TN, M: 9, N: 10, Rows: []int{0, 3}, Accumulate: true},
	}
	path, threads := kernel.Path(), kernel.Threads()
	rs, err := Run(Options{Paths: kernel.Paths(), Threads: []int{1}, Shapes: small, Samples: 2, Time: time.Microsecond})
	if err != nil {
		t.Fatal(err)
	}
	if want := 3 * len(small) * len(kernel.Paths()); len(rs) != want {
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

func TestRunUnknownPath(t *testing.T) {
	if _, err := Run(Options{Paths: []string{"sse"}, Shapes: Training()[:1]}); err == nil {
		t.Fatal("no error for a path that does not exist")
	}
}
