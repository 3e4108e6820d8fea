package schedule

// dualPipe fills the order of DualPipe (DeepSeek-V3 technical report, section
// 3.2.1) and of DualPipeV, which folds it into a V. The eight phases are those
// of the published schedule. DualPipe is symmetric: the second half of the
// stages mirrors the first with the two directions exchanged.
func (p *Pipeline) dualPipe() {
	var o stageOrder
	for stage := range p.Compute {
		o.begin(p, stage)
		depth, depths, micro := stage, p.Stages, p.Micro // place in, and length of, one arm
		var near uint8                                   // the chunk whose direction enters at this arm
		if p.Kind == DualPipe {
			depths, micro = p.Stages/2, p.Micro/2
			if stage >= depths {
				depth, near = p.Stages-1-stage, 1
			}
		}
		o.dualFill(depth, depths, near)
		o.dualSteady(depth, depths, micro, near)
		o.dualDrain(depth, depths, near)
		p.Compute[stage] = o.out
	}
}

// dualFill runs the phases before forwards and backwards overlap.
func (o *stageOrder) dualFill(depth, depths int, near uint8) {
	far := 1 - near
	for range 2 * (depths - 1 - depth) {
		o.forward(near)
	}
	for range depth + 1 {
		o.forward(near)
		o.forward(far)
	}
	for range depths - 1 - depth {
		o.input(far)
		o.weight()
		o.forward(far)
	}
}

// dualSteady runs the main phase, in which each forward overlaps a backward of
// the other chunk, and the phase in which no new microbatch enters.
func (o *stageOrder) dualSteady(depth, depths, micro int, near uint8) {
	far := 1 - near
	for i := range micro - 2*depths + depth + 1 {
		if i == 0 && depth == depths-1 { // the middle stage would wait for itself
			o.forward(near)
			o.backward(far)
		} else {
			o.pair(near, far)
		}
		o.pair(far, near)
	}
	for range depths - 1 - depth {
		o.backward(far)
		o.pair(far, near)
	}
}

// dualDrain runs the remaining backwards; the second half of them is split so
// that weight gradients fill the end.
func (o *stageOrder) dualDrain(depth, depths int, near uint8) {
	far := 1 - near
	split := false
	back := func(chunk uint8) {
		if split {
			o.input(chunk)
		} else {
			o.backward(chunk)
		}
	}
	for i := range depth + 1 {
		split = split || i == (depth+1)/2 && depth%2 == 1
		back(far)
		split = split || i == (depth+1)/2
		back(near)
	}
	for range depths - 1 - depth {
		o.weight()
		o.input(near)
	}
	for len(o.waiting) > 0 {
		o.weight()
	}
}
