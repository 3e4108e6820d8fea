package schedule

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/distributed/mesh"
)

// checkCollectives checks that one stage reduces, gathers and updates what it
// must, as often as it must, and not before it can.
func (p *Program) checkCollectives(stage int) error {
	c := &collectiveCheck{Program: p, stage: stage, done: map[duty]int{}}
	for chunk := range p.Pipeline.Chunks {
		first, last := p.Pipeline.Micros(chunk)
		c.micros = append(c.micros, last-first)
	}
	c.used, c.back = make([]int, p.Pipeline.Chunks), make([]int, p.Pipeline.Chunks)
	for n, in := range p.Stages[stage] {
		if err := c.instruction(in); err != nil {
			return fmt.Errorf("schedule: stage %d: instruction %d is %v, %w", stage, n, in, err)
		}
	}
	if err := p.checkTied(stage); err != nil {
		return err
	}
	return c.complete()
}

// checkTied compares the exchanges with stages that hold the same parameters
// with those that must be, which both stages do in one order.
func (p *Program) checkTied(stage int) error {
	want := p.tied(stage)
	for n, in := range p.Stages[stage] {
		if in.Op != ReduceTied {
			continue
		}
		if len(want) == 0 || in != want[0] {
			return fmt.Errorf("schedule: stage %d: instruction %d is %v, must be one of %v, in this order", stage, n, in, p.tied(stage))
		}
		want = want[1:]
	}
	if len(want) > 0 {
		return fmt.Errorf("schedule: stage %d: %v is missing", stage, want[0])
	}
	return nil
}

// duty is a collective that a stage owes: for the whole stage, or per chunk.
type duty struct {
	op    Op
	chunk uint8
	axis  mesh.Axis
}

type collectiveCheck struct {
	*Program
	stage      int
	micros     []int // microbatches per chunk
	used, back []int // passes that read parameters, weight gradients done, per chunk
	done       map[duty]int
	phase      Op // the latest of the operations that follow each other after the last backward
}

// rank returns the place of an operation among those that end a step, 0 for
// all others.
func (c *collectiveCheck) rank(op Op) int {
	before, after := OffloadIn, OffloadOut
	if c.Spec.Offload == OffloadHost {
		before, after = after, before
	}
	return 1 + slices.Index([]Op{ReduceReplicated, ReduceTied, Norm, before, Optimizer, after, GatherUpdated, Checkpoint}, op)
}

func (c *collectiveCheck) instruction(in Instruction) error {
	if int(in.Chunk) >= c.Pipeline.Chunks {
		return fmt.Errorf("but there are only %d chunks", c.Pipeline.Chunks)
	}
	if at := c.rank(in.Op); at < c.rank(c.phase) {
		return fmt.Errorf("which must come before %v", c.phase)
	} else if at > 0 {
		c.phase = in.Op
	}
	if in.Op.IsCompute() {
		return c.compute(in.action())
	}
	key := duty{in.Op, in.Chunk, in.Axis}
	if in.Op == ReduceGradients {
		if due := c.back[in.Chunk]; c.Spec.Zero >= 2 && c.done[key] >= due || c.Spec.Zero < 2 && due < c.micros[in.Chunk] {
			return fmt.Errorf("before the gradients of the chunk are there (%d of %d microbatches)", due, c.micros[in.Chunk])
		}
	}
	c.done[key]++
	return nil
}

func (c *collectiveCheck) compute(a Action) error {
	for _, half := range a.halves() {
		if half.Op == Backward || half.Op == BackwardWeight {
			for _, axis := range c.shared(int(half.Chunk)) {
				if have := c.done[duty{ReduceGradients, half.Chunk, axis}]; c.Spec.Zero >= 2 && have < c.back[half.Chunk] {
					return fmt.Errorf("but only %d gradients of chunk %d have been reduced over %v, must be all %d before it: ranks hold shares", have, half.Chunk, axis, c.back[half.Chunk])
				}
			}
			c.back[half.Chunk]++
		}
		if half.Op == BackwardWeight {
			continue
		}
		c.used[half.Chunk]++
		for _, axis := range c.shared(int(half.Chunk)) {
			if have := c.done[duty{GatherParameters, half.Chunk, axis}]; c.Spec.Zero == 3 && have < c.used[half.Chunk] {
				return fmt.Errorf("but the parameters of chunk %d have been gathered over %v only %d times before its pass %d", half.Chunk, axis, have, c.used[half.Chunk])
			}
		}
	}
	return nil
}

func (c *collectiveCheck) shared(chunk int) []mesh.Axis { return c.sharedAxes(c.stage, chunk) }

// complete compares what was done with what the spec calls for.
func (c *collectiveCheck) complete() error {
	owed := map[duty]int{{Optimizer, 0, mesh.None}: 1}
	if c.Spec.Mesh.World() > 1 {
		owed[duty{Norm, 0, mesh.All}] = 1
	}
	if c.replicates(c.stage) {
		owed[duty{ReduceReplicated, 0, mesh.TP}] = 1
	}
	if c.Spec.Offload == OffloadSwap || c.Spec.Offload == OffloadHost {
		owed[duty{OffloadIn, 0, mesh.None}], owed[duty{OffloadOut, 0, mesh.None}] = 1, 1
	}
	if c.Spec.Checkpoint {
		owed[duty{Checkpoint, 0, mesh.None}] = 1
	}
	for chunk, micros := range c.micros {
		for _, axis := range c.shared(chunk) {
			key := func(op Op) duty { return duty{op, uint8(chunk), axis} }
			switch c.Spec.Zero {
			case 0:
				owed[key(ReduceGradients)] = 1
			case 1:
				owed[key(ReduceGradients)], owed[key(GatherUpdated)] = 1, 1
			case 2:
				owed[key(ReduceGradients)], owed[key(GatherUpdated)] = micros, 1
			case 3:
				owed[key(ReduceGradients)], owed[key(GatherParameters)] = micros, 2*micros
			}
		}
	}
	return c.compare(owed)
}

// compare reports the first difference in the order of operations, chunks and
// axes.
func (c *collectiveCheck) compare(owed map[duty]int) error {
	for op := GatherParameters; op <= Checkpoint; op++ {
		if op == ReduceTied {
			continue // checkTied has
		}
		for chunk := range c.Pipeline.Chunks {
			for axis := mesh.None; axis <= mesh.All; axis++ {
				key := duty{op, uint8(chunk), axis}
				if have, want := c.done[key], owed[key]; have != want {
					return fmt.Errorf("schedule: stage %d: %v of chunk %d over %v happens %d times, must happen %d times", c.stage, op, chunk, axis, have, want)
				}
			}
		}
	}
	return nil
}
