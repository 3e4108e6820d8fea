package schedule

import "slices"

// stageOrder writes one stage's compute order while counting what each chunk
// has done. The weight gradients of split backwards queue up until they run.
type stageOrder struct {
	out            []Action
	forwards, back [2]int32 // next microbatch of each chunk
	end            [2]int32 // microbatches from here on are left out
	waiting        []Action // weight gradients not yet run, oldest first
}

// begin starts the order of a stage.
func (o *stageOrder) begin(p *Pipeline, stage int) {
	o.out, o.waiting = p.Compute[stage], o.waiting[:0]
	for c := range p.Chunks {
		first, last := p.Micros(c)
		o.forwards[c], o.back[c], o.end[c] = int32(first), int32(first), int32(last)
	}
}

func (o *stageOrder) forward(chunk uint8) {
	if m := o.forwards[chunk]; m < o.end[chunk] {
		o.out = append(o.out, Action{Op: Forward, Chunk: chunk, Micro: m})
	}
	o.forwards[chunk]++
}

// backward runs a whole backward pass.
func (o *stageOrder) backward(chunk uint8) {
	if m := o.back[chunk]; m < o.end[chunk] {
		o.out = append(o.out, Action{Op: Backward, Chunk: chunk, Micro: m})
	}
	o.back[chunk]++
}

// input runs the input half of a backward pass and queues the weight half.
func (o *stageOrder) input(chunk uint8) {
	if m := o.back[chunk]; m < o.end[chunk] {
		o.out = append(o.out, Action{Op: BackwardInput, Chunk: chunk, Micro: m})
		o.waiting = append(o.waiting, Action{Op: BackwardWeight, Chunk: chunk, Micro: m})
	}
	o.back[chunk]++
}

// weight runs the oldest queued weight gradient.
func (o *stageOrder) weight() {
	if len(o.waiting) > 0 {
		o.out = append(o.out, o.waiting[0])
		o.waiting = slices.Delete(o.waiting, 0, 1)
	}
}

// weightOf runs the oldest queued weight gradient of a chunk, if there is one.
func (o *stageOrder) weightOf(chunk uint8) {
	for i, w := range o.waiting {
		if w.Chunk == chunk {
			o.out = append(o.out, w)
			o.waiting = slices.Delete(o.waiting, i, i+1)
			return
		}
	}
}

// pair overlaps a forward with a whole backward of the other chunk.
func (o *stageOrder) pair(forward, backward uint8) {
	o.out = append(o.out, Action{
		Op: Pair, Chunk: forward, Micro: o.forwards[forward],
		Chunk2: backward, Micro2: o.back[backward],
	})
	o.forwards[forward]++
	o.back[backward]++
}

// zeroBubbleH1 fills the order ZB-H1 of "Zero Bubble Pipeline Parallelism" (Qi et al., 2023):
// 1F1B in which stage s runs the weight gradient of a microbatch s backwards
// late, so that every stage holds as many activations as the first.
func (p *Pipeline) zeroBubbleH1() {
	var o stageOrder
	for stage := range p.Compute {
		o.begin(p, stage)
		for range min(p.Stages-1-stage, p.Micro) {
			o.forward(0)
		}
		for range p.Micro {
			o.forward(0)
			o.input(0)
			if int(o.back[0]) > stage {
				o.weight()
			}
		}
		for len(o.waiting) > 0 {
			o.weight()
		}
		p.Compute[stage] = o.out
	}
}

// zeroBubbleV fills the order ZB-V of "Pipeline Parallelism with Controllable
// Memory" (Qi et al., 2024): two chunks per stage, the model folded into a V, in
// the activation memory of 1F1B.
func (p *Pipeline) zeroBubbleV() {
	var o stageOrder
	for stage := range p.Compute {
		o.begin(p, stage)
		rest := p.Stages - stage
		for range 2*rest - 1 {
			o.forward(0)
		}
		for range stage {
			o.forward(1)
			o.forward(0)
		}
		for range rest {
			o.forward(1)
			o.input(1)
			o.weightOf(1)
		}
		// A shorter run is the shortest full pattern with the surplus left out.
		full := int32(max(p.Micro, 2*p.Stages-1))
		for o.forwards[1] < full {
			if o.forwards[0] < full {
				o.forward(0)
			}
			o.input(0)
			o.weightOf(0)
			o.forward(1)
			o.input(1)
			o.weightOf(1)
		}
		o.drainV(stage, rest)
		p.Compute[stage] = o.out
	}
}

// drainV runs the remaining backwards: inputs first, because earlier stages
// wait for them, and weight gradients while nothing else can run.
func (o *stageOrder) drainV(stage, rest int) {
	for range stage {
		o.input(0)
		o.input(1)
	}
	for range rest {
		o.input(0)
		o.weightOf(0)
	}
	for range stage {
		o.weightOf(1)
	}
	for len(o.waiting) > 0 {
		o.weight()
	}
}
