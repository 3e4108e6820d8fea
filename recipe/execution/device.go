package execution

import (
	"time"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/compute/kernel/devicebench"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/train"
)

// Measuring the peak of a device: clocks change, and neighbours come and go, so
// the best of several bursts counts.
const (
	bursts    = 3
	burstTime = 15 * time.Millisecond
	// patience is how often a process measures again because a step was faster.
	patience = 3
	// Of memory, passes over arrays that together no cache of a core holds, a few.
	streamed   = 4 << 20 // elements of each of three arrays
	streamTime = 30 * time.Millisecond
)

// device measures what this process computes on.
func device() (record.Device, error) {
	d := record.Device{Name: "cpu", Ranks: []int{0}, Path: kernel.Path(), Threads: kernel.Threads()}
	peak, err := measurePeak(d.Path, d.Threads)
	d.Peak = map[string]float64{"f32": peak}
	d.Bandwidth = devicebench.Bandwidth(d.Threads, streamed, streamTime)
	return d, err
}

// measurePeak returns what multiply-add units and products reach, in FLOP/s.
// Without vector instructions a product can be faster than a loop over the units.
func measurePeak(path string, threads int) (float64, error) {
	best := 0.0
	for range bursts {
		units, err := kernel.PeakFMA(path, threads, burstTime)
		if err != nil {
			return 0, err
		}
		best = max(best, units, products())
	}
	return best, nil
}

// products measures small products on all threads.
func products() float64 {
	const n = 128
	out, a, b := square(n), square(n), square(n)
	start := time.Now()
	for done := 0.0; ; {
		kernel.MatMul(out, a, b)
		done += 2 * n * n * n
		if took := time.Since(start); took >= burstTime {
			return done / took.Seconds()
		}
	}
}

func square(n int) kernel.Mat {
	return kernel.Mat{Data: make([]float32, n*n), Rows: n, Cols: n, Stride: n}
}

// faster measures the device again if a step was faster than its peak: a
// neighbour may have had the machine when it was measured. What a step has
// reached is a measurement too, and the least that the device can do.
func (x *runner) faster(r *train.Result) error {
	wall := r.Time.Total.Seconds()
	if wall <= 0 || !(r.FLOPs > float64(x.standing.peak*wall)) {
		return nil
	}
	best := x.standing.peak
	if x.remeasured < patience {
		x.remeasured++
		peak, err := measurePeak(x.device.Path, x.device.Threads)
		if err != nil {
			return err
		}
		best = max(best, peak)
	}
	const above = 1 + 1e-9 // roundings of rates must not put the step above the peak
	best = max(best, r.FLOPs/wall*above)
	x.device.Peak = map[string]float64{"f32": best}
	return x.enter(&record.Ranks{
		Ranks: 1, Mesh: record.One(), Joined: []int{}, Left: []int{}, Devices: []record.Device{x.device},
		Reason: "a step was faster than the peak that was measured before: it was measured again",
	})
}
