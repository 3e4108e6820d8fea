package goodput

import (
	"fmt"
	"math"
)

// Failures is how often what goes wrong. Times are seconds, rates are per
// device: n devices fail n times as often.
type Failures struct {
	MTBF      float64 // between interruptions of one device; 0: none ever
	Shape     float64 // of the Weibull law: below 1 the young fail more, above 1 the old; 0 is 1, exponential
	HangShare float64 // share of interruptions that show as a hang, whatever their cause
	Causes    []Cause // nil: one cause, "device"

	SilentMTBF   float64 // between silent corruptions of one device; 0: none
	SilentDetect float64 // mean time (exponential) until one is noticed

	SlowMTBF     float64 // between slow-downs of one device; 0: none
	SlowFactor   float64 // by which the whole run is slower meanwhile
	SlowDuration float64 // mean (exponential), until it passes or the node is replaced
}

// Cause is one kind of interruption.
type Cause struct {
	Name    string
	Weight  float64 // its share, relative to the other causes'
	Node    bool    // the node needs repair
	Hang    bool    // always shows as a hang
	Planned bool    // announced: state is saved first, so no work is lost
}

// Llama3 is the table of the 419 unexpected interruptions of Llama 3 405B in 54
// days on 16,384 H100 (Llama 3 report, table 5).
func Llama3() []Cause {
	return []Cause{
		{Name: "faulty GPU", Weight: 148, Node: true},
		{Name: "GPU memory", Weight: 72, Node: true},
		{Name: "software bug", Weight: 54},
		{Name: "network switch or cable", Weight: 35, Node: true},
		{Name: "host maintenance", Weight: 32, Node: true},
		{Name: "GPU SRAM", Weight: 19, Node: true},
		{Name: "GPU system processor", Weight: 17, Node: true},
		{Name: "network card", Weight: 7, Node: true},
		{Name: "collective watchdog", Weight: 7, Hang: true},
		{Name: "silent data corruption", Weight: 6, Node: true},
		{Name: "GPU thermal or sensor", Weight: 6, Node: true},
		{Name: "SSD", Weight: 3, Node: true},
		{Name: "power supply", Weight: 3, Node: true},
		{Name: "chassis", Weight: 2, Node: true},
		{Name: "IO board", Weight: 2, Node: true},
		{Name: "dependency", Weight: 2},
		{Name: "CPU", Weight: 2, Node: true},
		{Name: "system memory", Weight: 2, Node: true},
	}
}

// Check refuses numbers that mean nothing.
func (f *Failures) Check() error {
	for _, x := range []struct {
		name      string
		v         float64
		low, high float64
	}{
		{"failures.mtbf", f.MTBF, 0, 1e15},
		{"failures.shape", f.Shape, 0, 10},
		{"failures.hang_share", f.HangShare, 0, 1},
		{"failures.silent_mtbf", f.SilentMTBF, 0, 1e15},
		{"failures.silent_detect", f.SilentDetect, 0, 1e9},
		{"failures.slow_mtbf", f.SlowMTBF, 0, 1e15},
		{"failures.slow_factor", f.SlowFactor, 0, 1000},
		{"failures.slow_duration", f.SlowDuration, 0, 1e9},
	} {
		if err := within(x.name, x.v, x.low, x.high); err != nil {
			return err
		}
	}
	if f.Shape != 0 && f.Shape < 0.1 {
		return within("failures.shape", f.Shape, 0.1, 10)
	}
	if f.SlowMTBF > 0 && f.SlowFactor < 1 {
		return within("failures.slow_factor", f.SlowFactor, 1, 1000)
	}
	sum := 0.0
	for i, c := range f.Causes {
		if c.Name == "" {
			return fmt.Errorf("goodput: failures.causes[%d].name is missing", i)
		}
		if err := within(fmt.Sprintf("failures.causes[%d].weight", i), c.Weight, 0, 1e12); err != nil {
			return err
		}
		sum += c.Weight
	}
	if len(f.Causes) > 0 && sum == 0 {
		return fmt.Errorf("goodput: failures.causes: all weights are 0, some cause must have more")
	}
	return nil
}

// within refuses a number outside [low, high], NaN included.
func within(name string, v, low, high float64) error {
	if v >= low && v <= high {
		return nil
	}
	nearest := low
	if v > high {
		nearest = high
	}
	return fmt.Errorf("goodput: %s is %v, must lie in [%v, %v]: nearest legal value %v", name, v, low, high, nearest)
}

// scale is λ of the power-law process: the mean of a Weibull life is λ Γ(1 + 1/k).
func (f *Failures) scale() (lambda, shape float64) {
	k := f.Shape
	if k == 0 {
		k = 1
	}
	return f.MTBF / math.Gamma(1+1/k), k
}

// causes returns the causes, one at least.
func (f *Failures) causes() []Cause {
	if len(f.Causes) == 0 {
		return []Cause{{Name: "device", Weight: 1, Node: true}}
	}
	return f.Causes
}
