package kernelbench

import (
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
)

// Result is one measured quantity. Value is the best of the N samples, except
// for a share of peak, where it is the best product over the best peak; Min
// and Median are those of the samples.
type Result struct {
	Name        string
	Value       float64
	Unit        string
	Min, Median float64
	N           int
}

// Options says what to measure. The zero value measures everything.
type Options struct {
	Paths   []string      // instruction sets; default all that this machine has but "go"
	Threads []int         // default 1 and all
	Shapes  []Shape       // default Training and Skinny
	Samples int           // pairs of peak and product per shape; default 7
	Time    time.Duration // of one sample; default 20 ms
	Naive   bool          // also measure the plain loop, once per form

	// Clock tells the time by which products are measured; default the wall
	// clock. On a machine that is busy otherwise, the processor time of this
	// process, divided by the threads, says more about the kernels.
	Clock func() time.Duration
}

func (o Options) withDefaults() Options {
	if o.Paths == nil {
		o.Paths = kernel.Paths()
		if len(o.Paths) > 1 {
			o.Paths = o.Paths[1:]
		}
	}
	if o.Threads == nil {
		o.Threads = []int{1}
		if n := kernel.Threads(); n > 1 {
			o.Threads = append(o.Threads, n)
		}
	}
	if o.Shapes == nil {
		o.Shapes = append(Training(), Skinny()...)
	}
	if o.Samples == 0 {
		o.Samples = 7
	}
	if o.Time == 0 {
		o.Time = 20 * time.Millisecond
	}
	if o.Clock == nil {
		begin := time.Now()
		o.Clock = func() time.Duration { return time.Since(begin) }
	}
	return o
}

// Run measures and returns, for each path and number of threads, the peak,
// and for each shape the speed and its share of the peak. It sets path and
// threads while it runs and restores them.
func Run(o Options) ([]Result, error) {
	o = o.withDefaults()
	defer kernel.SetThreads(kernel.Threads())
	first := kernel.Path()
	defer kernel.SetPath(first) // cannot fail: it was active
	var rs []Result
	for i := range o.Shapes {
		s := &o.Shapes[i]
		ps, work := s.products()
		for _, path := range o.Paths {
			for _, threads := range o.Threads {
				r, err := o.measure(s.Name, ps, work, path, threads)
				if err != nil {
					return nil, err
				}
				rs = append(rs, r...)
			}
		}
	}
	if o.Naive {
		rs = append(rs, o.naive()...)
	}
	return rs, nil
}

// measure measures one shape in one setting.
func (o *Options) measure(name string, ps []kernel.Product, work float64, path string, threads int) ([]Result, error) {
	if _, err := kernel.SetPath(path); err != nil {
		return nil, err
	}
	kernel.SetThreads(threads)
	kernel.Run(ps...) // touch all memory
	var peaks, speeds, shares []float64
	for range o.Samples {
		peak := 0.0
		for start := time.Now(); peak == 0 || time.Since(start) < o.Time/4; {
			p, err := kernel.PeakFMA(path, threads, burst)
			if err != nil {
				return nil, err
			}
			peak = max(peak, p)
		}
		speed := 2 * work * fastest(o.Clock, o.Time, func() { kernel.Run(ps...) })
		peaks, speeds, shares = append(peaks, peak), append(speeds, speed), append(shares, speed/peak)
	}
	at := fmt.Sprintf("/%s/threads=%d", path, threads)
	share := result("share/"+name+at, "of peak", 1, shares)
	share.Value = slices.Max(speeds) / slices.Max(peaks)
	return []Result{
		result("peak/"+name+at, "GFLOP/s", 1e-9, peaks),
		result("speed/"+name+at, "GFLOP/s", 1e-9, speeds),
		share,
	}, nil
}

// burst is the least time over which a speed is taken: far above the clock's
// grain, and short enough to fall between the visits of other programs.
const burst = 400 * time.Microsecond

// fastest runs f for about d and returns the calls per second of the fastest
// burst.
func fastest(clock func() time.Duration, d time.Duration, f func()) float64 {
	best := 0.0
	for start := clock(); best == 0 || clock()-start < d; {
		n := 0
		begin := clock()
		for n == 0 || clock()-begin < burst {
			f()
			n++
		}
		best = max(best, float64(n)/(clock()-begin).Seconds())
	}
	return best
}

// result condenses samples.
func result(name, unit string, scale float64, samples []float64) Result {
	xs := slices.Clone(samples)
	slices.Sort(xs)
	n := len(xs)
	return Result{
		Name: name, Unit: unit, N: n,
		Value: xs[n-1] * scale, Min: xs[0] * scale, Median: (xs[(n-1)/2] + xs[n/2]) / 2 * scale,
	}
}

// naive measures the textbook loop with one accumulator in plain float32, the
// speed that a product has without this package, and the kernels beside it.
func (o *Options) naive() []Result {
	const size = 256
	a, b, out := matrix(size, size, 1), matrix(size, size, 2), matrix(size, size, -1)
	var rs []Result
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"naive/float32 loop", func() { loop(out, a, b) }},
		{"naive/kernel", func() { kernel.MatMul(out, a, b) }},
	} {
		var speeds []float64
		for range 5 {
			speeds = append(speeds, 2*size*size*size*fastest(o.Clock, o.Time, c.run))
		}
		rs = append(rs, result(fmt.Sprintf("%s/y/%dx%dx%d", c.name, size, size, size), "GFLOP/s", 1e-9, speeds))
	}
	runtime.KeepAlive(out)
	return rs
}

// loop is out = a bᵀ as one writes it without thinking of speed.
func loop(out, a, b kernel.Mat) {
	for m := range out.Rows {
		for n := range out.Cols {
			var acc float32
			x, y := a.Row(m), b.Row(n)
			for k := range x {
				acc += float32(x[k] * y[k])
			}
			out.Row(m)[n] = acc
		}
	}
}
