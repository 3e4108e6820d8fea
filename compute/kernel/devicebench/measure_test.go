package devicebench

import (
	"testing"
	"time"

	"github.com/temper-ml/temper/compute/kernel"
)

func TestMeasure(t *testing.T) {
	threads := kernel.Threads()
	d, err := Measure(Options{Samples: 2, Time: time.Millisecond, Product: 96, Stream: 1 << 18})
	if err != nil {
		t.Fatal(err)
	}
	if kernel.Threads() != threads || d.Threads != threads || d.SIMD != kernel.Path() {
		t.Errorf("measured on %d threads with %s, left %d", d.Threads, d.SIMD, kernel.Threads())
	}
	for name, x := range map[string]float64{
		"peak": d.Peak, "peak of one": d.PeakOne, "product": d.Product, "product of one": d.ProductOne, "vector": d.Vector,
		"bandwidth": d.Bandwidth, "bandwidth of one": d.BandwidthOne,
	} {
		if !(x > 1e7 && x < 1e16) {
			t.Errorf("%s is %v per second", name, x)
		}
	}
	for name, s := range map[string]float64{"product": d.LaunchProduct, "vector": d.LaunchVector} {
		if !(s > 1e-10 && s < 0.1) {
			t.Errorf("starting a %s takes %v s", name, s)
		}
	}
	if d.Product > d.Peak {
		t.Errorf("a product at %v FLOP/s is faster than the units at %v", d.Product, d.Peak)
	}
	if d.Memory != 0 && d.Memory < 1<<26 {
		t.Errorf("%d bytes of memory", d.Memory)
	}
	for _, r := range d.Results {
		if !(r.Value > 0 && r.Min > 0 && r.Median > 0) || r.N != 2 || r.Unit == "" {
			t.Errorf("result makes no sense: %+v", r)
		}
	}
}
