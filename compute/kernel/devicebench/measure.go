package devicebench

import (
	"fmt"
	"slices"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/compute/kernel/kernelbench"
)

// Options says how long to measure. The zero value takes some seconds.
type Options struct {
	Samples int           // of each quantity; default 5
	Time    time.Duration // of one sample; default 60 ms
	Product int           // rows, columns and depth of the matrix product; default 512
	Stream  int           // elements of each of three arrays in memory; default 16 Mi
}

func (o Options) withDefaults() Options {
	if o.Samples == 0 {
		o.Samples = 5
	}
	if o.Time == 0 {
		o.Time = 60 * time.Millisecond
	}
	if o.Product == 0 {
		o.Product = 512
	}
	if o.Stream == 0 {
		o.Stream = 16 << 20
	}
	return o
}

// Device is what was measured, on all threads unless its name says otherwise.
// Rates are per second.
type Device struct {
	Threads int
	SIMD    string // the instruction set that was measured
	Memory  int64  // bytes of the machine, or of what it lets this process use; 0 if unknown

	Peak          float64 // FLOP/s of the multiply-add units
	PeakOne       float64 // the same of one thread alone
	Product       float64 // FLOP/s of a large matrix product
	ProductOne    float64
	Vector        float64 // FLOP/s of multiply-adds over vectors in the cache
	Bandwidth     float64 // bytes/s of memory, three streams read and one written
	BandwidthOne  float64
	LaunchProduct float64 // seconds of the smallest matrix product
	LaunchVector  float64 // seconds of handing nothing to all threads and waiting

	Results []kernelbench.Result // the same with their spread, to be printed
}

// Measure measures this machine with the threads that kernels use now.
func Measure(o Options) (*Device, error) {
	o = o.withDefaults()
	d := &Device{Threads: kernel.Threads(), SIMD: kernel.Path(), Memory: memory()}
	defer kernel.SetThreads(d.Threads)
	if err := d.products(o); err != nil {
		return nil, err
	}
	d.vectors(o)
	d.launches(o)
	return d, nil
}

// products measures the multiply-add units and a product in turn.
func (d *Device) products(o Options) error {
	threads := []int{1}
	if d.Threads > 1 {
		threads = append(threads, d.Threads)
	}
	n := o.Product
	rs, err := kernelbench.Run(kernelbench.Options{
		Paths: []string{d.SIMD}, Threads: threads, Samples: o.Samples, Time: o.Time,
		Shapes: []kernelbench.Shape{{Name: fmt.Sprintf("product/%d", n), Form: kernel.NT, M: n, N: n, K: n}},
	})
	if err != nil {
		return err
	}
	d.Results = append(d.Results, rs...)
	all := rs[len(rs)-3:] // peak, speed and share of the last number of threads
	d.PeakOne, d.ProductOne = rs[0].Value*1e9, rs[1].Value*1e9
	d.Peak, d.Product = all[0].Value*1e9, all[1].Value*1e9
	// In plain Go the loop that measures the units may be slower than a product.
	d.PeakOne, d.Peak = max(d.PeakOne, d.ProductOne), max(d.Peak, d.Product)
	return nil
}

// vectors measures multiply-adds in the cache and in memory.
func (d *Device) vectors(o Options) {
	const inCache = 1 << 11 // elements: three arrays of 8 KiB
	small := make([]float32, 3*inCache*d.Threads)
	vector := d.take(o, "vector", "GFLOP/s", 1e-9, func() float64 {
		const rounds = 256
		each(d.Threads, func(i int) {
			a := small[3*inCache*i:]
			for range rounds {
				kernel.MulAdd(a[:inCache], a[inCache:2*inCache], a[2*inCache:3*inCache])
			}
		})
		return 2 * inCache * rounds * float64(d.Threads)
	})
	d.Vector = vector
	stream := streams(o.Stream)
	d.Bandwidth = d.take(o, fmt.Sprintf("memory/threads=%d", d.Threads), "GB/s", 1e-9, stream(d.Threads))
	d.BandwidthOne = d.take(o, "memory/threads=1", "GB/s", 1e-9, stream(1))
}

// Bandwidth measures the memory alone, in bytes/s, for about t: what Measure calls
// Bandwidth, of arrays of n elements each.
func Bandwidth(threads, n int, t time.Duration) float64 {
	pass := streams(n)(threads)
	pass() // threads and pages come first
	return fastest(t, pass)
}

// streams returns what makes a pass over three arrays of n elements by so many
// threads; a pass returns the bytes that it moved.
func streams(n int) func(threads int) func() float64 {
	a, b, c := filled(n), filled(n), filled(n)
	return func(threads int) func() float64 {
		return func() float64 {
			each(threads, func(i int) {
				lo, hi := len(a)*i/threads, len(a)*(i+1)/threads
				kernel.MulAdd(a[lo:hi], b[lo:hi], c[lo:hi])
			})
			return 16 * float64(n) // a, b and c read, a written
		}
	}
}

// filled returns n numbers in memory of their own: what was never written may
// all be one page of zeros.
func filled(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = 1e-9
	}
	return x
}

// launches measures what it costs to start an operation.
func (d *Device) launches(o Options) {
	x := func() kernel.Mat { return kernel.MatOf(make([]float32, 64), 8, 8) }
	p := kernel.Product{Form: kernel.NT, Out: x(), A: x(), B: x()}
	d.LaunchProduct = 1 / d.take(o, "launch/product", "1/s", 1, func() float64 { kernel.Run(p); return 1 })
	d.LaunchVector = 1 / d.take(o, "launch/threads", "1/s", 1, func() float64 { each(d.Threads, func(int) {}); return 1 })
}

// each calls f for 0 to n-1, on a thread for each if there are as many.
func each(n int, f func(i int)) {
	kernel.Parallel(n, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f(i)
		}
	})
}

// take samples the rate of f, which returns the work that it did, and returns
// the best.
func (d *Device) take(o Options, name, unit string, scale float64, f func() float64) float64 {
	f()
	var xs []float64
	for range o.Samples {
		xs = append(xs, fastest(o.Time, f))
	}
	slices.Sort(xs)
	n := len(xs)
	r := kernelbench.Result{Name: name, Unit: unit, N: n, Value: xs[n-1] * scale, Min: xs[0] * scale, Median: (xs[(n-1)/2] + xs[n/2]) / 2 * scale}
	if unit == "1/s" { // people read times
		r = kernelbench.Result{Name: name, Unit: "us", N: n, Value: 1e6 / xs[n-1], Min: 1e6 / xs[n-1], Median: 2e6 / (xs[(n-1)/2] + xs[n/2])}
	}
	d.Results = append(d.Results, r)
	return xs[n-1]
}

// burst is the least time over which a rate is taken.
const burst = 400 * time.Microsecond

// fastest runs f for about t and returns the highest rate of a burst.
func fastest(t time.Duration, f func() float64) float64 {
	best := 0.0
	for start := time.Now(); best == 0 || time.Since(start) < t; {
		work, begin := 0.0, time.Now()
		for work == 0 || time.Since(begin) < burst {
			work += f()
		}
		best = max(best, work/time.Since(begin).Seconds())
	}
	return best
}
