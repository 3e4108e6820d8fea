package schedule

import (
	"fmt"
	"math"
)

// Durations holds the time, in seconds, of every operation of a pipeline. All
// slices are indexed by stage*Chunks+chunk.
type Durations struct {
	Forward  []float64
	Backward []float64 // input and weight gradients together; nil means Input + Weight
	Input    []float64 // needed where the schedule splits backwards
	Weight   []float64 // needed where the schedule splits backwards
	Pair     []float64 // forward of this chunk overlapped with a backward of the stage's other chunk; nil means their sum
	Send     []float64 // from this chunk to the next along the forward pass, and for the gradient back; nil means 0, and it is not read where both chunks lie on one stage

	// Blocking holds the sender for the time of a send. Otherwise a send only
	// delays the receiver.
	Blocking bool
}

// NewDurations returns zero durations for every chunk of a shape.
func NewDurations(s Shape) *Durations {
	n := s.Stages * s.Chunks
	v := make([]float64, 6*n)
	return &Durations{
		Forward: v[:n:n], Backward: v[n : 2*n : 2*n], Input: v[2*n : 3*n : 3*n],
		Weight: v[3*n : 4*n : 4*n], Pair: v[4*n : 5*n : 5*n], Send: v[5*n:],
	}
}

// Ticks are multiples of 2^-36 s (15 ps). Sums of ticks below 2^17 s are exact
// in a float64, whatever their order, so that a timeline's parts add up to its
// makespan without rounding.
const tickRounder = 3 << 15 // 1.5 * 2^(52-36)

// tick rounds a duration below 2^15 s to a whole number of ticks.
func tick(seconds float64) float64 { return (seconds + tickRounder) - tickRounder }

const longest = 1 << 15

// costs are the durations as the clock uses them, by index.
type costs struct {
	links
	of                                     Shape // what links belong to, whatever the microbatches
	split                                  bool  // input and weight are known
	forward, backward, input, weight, pair []float64
	// A forward's output reaches the next chunk flight seconds after the
	// forward; hold seconds of it keep the sender busy. The same for a
	// backward's, to the previous chunk.
	flightForward, holdForward   []float64
	flightBackward, holdBackward []float64
}

// reset reads durations for a shape, rounded to ticks.
func (c *costs) reset(s Shape, d *Durations) error {
	n := s.Stages * s.Chunks
	if of := s.reduced(0); c.of != of {
		c.links.reset(s)
		c.of = of
	}
	if err := c.read(s, d, n); err != nil {
		return err
	}
	c.flightForward, c.holdForward = resize(c.flightForward, n), resize(c.holdForward, n)
	c.flightBackward, c.holdBackward = resize(c.flightBackward, n), resize(c.holdBackward, n)
	clear(c.flightForward)
	clear(c.flightBackward)
	clear(c.holdForward)
	clear(c.holdBackward)
	if d.Send == nil {
		return nil
	}
	for i, to := range c.next {
		if to < 0 || c.prevStage[to] == c.nextStage[i] { // both chunks on one stage
			continue
		}
		send := tick(d.Send[i])
		c.flightForward[i], c.flightBackward[to] = send, send
		if d.Blocking {
			c.holdForward[i], c.holdBackward[to] = send, send
		}
	}
	return nil
}

func (c *costs) read(s Shape, d *Durations, n int) error {
	split := s.Kind.SplitsBackward()
	c.split = d.Input != nil && d.Weight != nil
	for _, f := range [...]struct {
		name   string
		in     []float64
		out    *[]float64
		needed bool
	}{
		{"Forward", d.Forward, &c.forward, true},
		{"Input", d.Input, &c.input, split || d.Backward == nil},
		{"Weight", d.Weight, &c.weight, split || d.Backward == nil},
		{"Backward", d.Backward, &c.backward, false},
		{"Pair", d.Pair, &c.pair, false},
		{"Send", d.Send, nil, false},
	} {
		if err := readDurations(f.name, f.in, f.out, n, f.needed); err != nil {
			return err
		}
	}
	c.fill(s, d, n)
	return nil
}

func readDurations(name string, in []float64, out *[]float64, n int, needed bool) error {
	if in == nil && !needed {
		return nil
	}
	if len(in) != n {
		return fmt.Errorf("schedule: durations of %s: %d values, must be %d, one per chunk of every stage", name, len(in), n)
	}
	for i, v := range in {
		if !(v >= 0 && v < longest) {
			return fmt.Errorf("schedule: durations of %s: value %d is %v s, must lie in 0..%d s, nearest legal value %v", name, i, v, longest, nearestDuration(v))
		}
	}
	if out == nil {
		return nil
	}
	*out = resize(*out, n)
	for i, v := range in {
		(*out)[i] = tick(v)
	}
	return nil
}

func nearestDuration(v float64) float64 {
	if v >= longest {
		return math.Nextafter(longest, 0)
	}
	return 0
}

// fill derives the durations that may be left out.
func (c *costs) fill(s Shape, d *Durations, n int) {
	if d.Backward == nil {
		c.backward = resize(c.backward, n)
		for i := range n {
			c.backward[i] = c.input[i] + c.weight[i]
		}
	}
	if d.Pair == nil && s.Chunks == 2 {
		c.pair = resize(c.pair, n)
		for i := range n {
			c.pair[i] = c.forward[i] + c.backward[i^1]
		}
	}
}
