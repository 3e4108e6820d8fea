package sim

import (
	"slices"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// stage writes the code of one stage from its rank program.
func (l *lowering) stage(stage int) {
	l.code, l.open = nil, l.open[:0]
	list := l.rank.Stages[stage]
	beside := l.beside(stage)
	updated := false
	for i := range list {
		in := &list[i]
		switch in.Op {
		case schedule.RecvForward, schedule.RecvBackward:
			l.message(stage, Receive, in, 0)
		case schedule.SendForward, schedule.SendBackward:
			l.message(stage, Send, in, l.flight(stage, in))
		case schedule.Forward, schedule.Backward, schedule.BackwardInput, schedule.BackwardWeight, schedule.Pair:
			l.compute(stage, in, beside[i])
		case schedule.Norm, schedule.Optimizer, schedule.OffloadIn, schedule.OffloadOut:
			if !updated {
				updated = true
				l.update(stage)
			}
		}
	}
	if !updated {
		l.update(stage)
	}
	l.out.Stages = append(l.out.Stages, l.code)
}

// update writes what comes once per step: the messages that nothing hides, and
// the optimizer. The global norm and the sums of tied parameters, to which the
// cost model gives no time, are left out.
func (l *lowering) update(stage int) {
	for _, start := range l.open {
		l.code = append(l.code, Instruction{Kind: Wait, Part: l.code[start].Part, Axis: l.code[start].Axis, Layer: -1, Match: start})
	}
	l.open = l.open[:0]
	c := &l.s.Stages[stage]
	l.collective(l.shared, partGradients, c.Gradients, -1, 0, 0, Fixed)
	l.work(partOffload, c.Offload/2, -1, 0, 0, Fixed)
	l.work(partOptimizer, c.Optimizer, -1, 0, 0, Fixed)
	l.work(partOffload, c.Offload/2, -1, 0, 0, Fixed)
	l.collective(l.shared, partGather, c.Gather, -1, 0, 0, Fixed)
	for _, b := range l.s.Breakdown {
		switch b.Name {
		case "fixed":
			l.work(partFixed, b.Seconds, -1, 0, 0, Fixed)
		case "jitter":
			l.work(partVariation, b.Seconds, -1, 0, 0, Fixed)
		}
	}
	l.work(partCheckpoint, l.o.CheckpointSeconds, -1, 0, 0, Fixed)
}

// beside spreads the hidden messages of a stage, reductions of gradients and
// gathers of parameters, over the compute instructions that they run beside, in
// proportion to their length: a reduction goes beside the backward that makes
// the gradient, bucket by bucket, a split backward counting as both its parts;
// a gather beside the first use.
func (l *lowering) beside(stage int) []float64 {
	list := l.rank.Stages[stage]
	out := make([]float64, len(list))
	hidden := l.s.Stages[stage].Hidden
	if _, grouped := l.axis[l.shared]; !grouped || hidden <= 0 {
		return out
	}
	used := map[uint8]bool{}
	inputs := map[uint8]int{} // the last gradient of inputs of each chunk, where it comes alone
	for i := range list {
		if list[i].Op == schedule.BackwardInput {
			inputs[list[i].Chunk] = i
		}
	}
	total := 0.0
	for i := range list {
		in := &list[i]
		if !in.Op.IsCompute() {
			continue
		}
		last, alone := inputs[in.Chunk]
		takes := l.s.Layout.Zero == 3 || alone && last == i
		if forward := in.Op == schedule.Forward || in.Op == schedule.Pair; forward && l.s.Layout.Zero > 0 && !used[in.Chunk] {
			used[in.Chunk], takes = true, true
		}
		for j := i + 1; j < len(list) && !list[j].Op.IsCompute(); j++ {
			takes = takes || list[j].Op == schedule.ReduceGradients
		}
		if takes {
			out[i] = l.length(stage, in)
			total += out[i]
		}
	}
	for i := range out {
		if total > 0 {
			out[i] *= hidden / total
		}
	}
	return out
}

// length is how long a compute instruction takes.
func (l *lowering) length(stage int, in *schedule.Instruction) float64 {
	i, d := stage*l.s.Shape.Chunks+int(in.Chunk), l.s.Durations
	switch in.Op {
	case schedule.Forward:
		return d.Forward[i]
	case schedule.Backward:
		return d.Backward[i]
	case schedule.BackwardInput:
		return d.Input[i]
	case schedule.BackwardWeight:
		return d.Weight[i]
	}
	return l.pair(stage, in)
}

// pair is how long a forward and a backward take together.
func (l *lowering) pair(stage int, in *schedule.Instruction) float64 {
	i, j := stage*l.s.Shape.Chunks+int(in.Chunk), stage*l.s.Shape.Chunks+int(in.Chunk2)
	if d := l.s.Durations; d.Pair != nil {
		return d.Pair[i]
	}
	return l.s.Durations.Forward[i] + l.s.Durations.Backward[j]
}

// compute writes the phases of a compute instruction, beside a message of the
// given length.
func (l *lowering) compute(stage int, in *schedule.Instruction, beside float64) {
	for i, axis := range l.streams {
		t := FromSeconds(beside / float64(len(l.streams)))
		if t == 0 {
			continue
		}
		l.open = append(l.open, int32(len(l.code)))
		l.code = append(l.code, Instruction{Kind: Start, Part: partGradients + uint8(i), Axis: axis, Layer: -1, Chunk: int16(in.Chunk), Micro: in.Micro, Time: t})
	}
	pieces := l.chunks[stage*l.s.Shape.Chunks+int(in.Chunk)]
	switch in.Op {
	case schedule.Forward:
		for _, p := range pieces {
			l.forward(p.layer, &p.passes.forward, partForward, in.Chunk, in.Micro, 1)
		}
	case schedule.Backward:
		for _, p := range slices.Backward(pieces) {
			l.backward(p, in.Chunk, in.Micro, 1)
			l.weight(p, in.Chunk, in.Micro)
		}
	case schedule.BackwardInput:
		for _, p := range slices.Backward(pieces) {
			l.backward(p, in.Chunk, in.Micro, 1)
		}
	case schedule.BackwardWeight:
		for _, p := range slices.Backward(pieces) {
			l.weight(p, in.Chunk, in.Micro)
		}
	case schedule.Pair:
		l.both(stage, in)
	}
}

// both writes a forward and a backward that run together: block by block in
// turns, with the exchanges of tokens as much shorter as the cost model says
// that they hide behind the other's work.
func (l *lowering) both(stage int, in *schedule.Instruction) {
	ahead := l.chunks[stage*l.s.Shape.Chunks+int(in.Chunk)]
	back := l.chunks[stage*l.s.Shape.Chunks+int(in.Chunk2)]
	var messages, alone float64
	for _, p := range ahead {
		messages += p.passes.forward.ep
		alone += p.passes.forward.seconds()
	}
	for _, p := range back {
		messages += p.recompute.ep + p.input.ep + p.passes.weight.ep
		alone += p.recompute.seconds() + p.input.seconds() + p.passes.weight.seconds()
	}
	left := 1.0
	if messages > 0 {
		left = max(0, 1-(alone-l.pair(stage, in))/messages)
	}
	for i := range max(len(ahead), len(back)) {
		if i < len(ahead) {
			l.forward(ahead[i].layer, &ahead[i].passes.forward, partForward, in.Chunk, in.Micro, left)
		}
		if i < len(back) {
			p := back[len(back)-1-i]
			l.backward(p, in.Chunk2, in.Micro2, left)
			l.weight(p, in.Chunk2, in.Micro2)
		}
	}
}

// seconds is the length of the phases.
func (p *phases) seconds() float64 { return p.work + p.tp + p.cp + p.ep + p.experts }

// forward writes the phases of a block in forward order. left is the part of
// the exchange of tokens that is not hidden.
func (l *lowering) forward(layer int16, p *phases, part uint8, chunk uint8, micro int32, left float64) {
	l.work(part, p.work, layer, chunk, micro, Fixed)
	l.collective(l.tensor, partTensor, p.tp, layer, chunk, micro, Fixed)
	l.collective(mesh.CP, partContext, p.cp, layer, chunk, micro, Fixed)
	l.collective(mesh.EP, partTokens, p.ep*left/2, layer, chunk, micro, ByBusiest)
	l.work(part+1, p.experts, layer, chunk, micro, ByLoad)
	l.collective(mesh.EP, partTokens, p.ep*left/2, layer, chunk, micro, ByBusiest)
}

// backward writes what is computed again, then the gradient of the inputs, in
// backward order.
func (l *lowering) backward(b piece, chunk uint8, micro int32, left float64) {
	l.forward(b.layer, &b.recompute, partRecompute, chunk, micro, left)
	p := &b.input
	l.collective(mesh.EP, partTokens, p.ep*left/2, b.layer, chunk, micro, ByBusiest)
	l.work(partBackwardExperts, p.experts, b.layer, chunk, micro, ByLoad)
	l.collective(mesh.EP, partTokens, p.ep*left/2, b.layer, chunk, micro, ByBusiest)
	l.collective(mesh.CP, partContext, p.cp, b.layer, chunk, micro, Fixed)
	l.collective(l.tensor, partTensor, p.tp, b.layer, chunk, micro, Fixed)
	l.work(partBackward, p.work, b.layer, chunk, micro, Fixed)
}

// weight writes the gradient of the weights.
func (l *lowering) weight(b piece, chunk uint8, micro int32) {
	p := &b.passes.weight
	l.collective(mesh.EP, partTokens, p.ep, b.layer, chunk, micro, ByBusiest)
	l.collective(mesh.CP, partContext, p.cp, b.layer, chunk, micro, Fixed)
	l.collective(l.tensor, partTensor, p.tp, b.layer, chunk, micro, Fixed)
	l.work(partWeight, p.work, b.layer, chunk, micro, Fixed)
	l.work(partWeightExperts, p.experts, b.layer, chunk, micro, ByLoad)
}

// work writes a compute phase, if it takes any time.
func (l *lowering) work(part uint8, seconds float64, layer int16, chunk uint8, micro int32, scale Scale) {
	t := FromSeconds(seconds)
	if t <= 0 {
		return
	}
	if layer < 0 || l.out.ExpertAxis < 0 {
		scale = Fixed
	}
	l.code = append(l.code, Instruction{Kind: Compute, Part: part, Scale: scale, Layer: layer, Chunk: int16(chunk), Micro: micro, Time: t})
}

// collective writes a blocking collective, if it takes any time. Time without a
// group to meet, of an axis that only one of two kinds of parameters is shared
// over, is the rank's own.
func (l *lowering) collective(a mesh.Axis, part uint8, seconds float64, layer int16, chunk uint8, micro int32, scale Scale) {
	axis, ok := l.axis[a]
	if !ok {
		l.work(part, seconds, layer, chunk, micro, Fixed)
		return
	}
	t := FromSeconds(seconds)
	if t <= 0 {
		return
	}
	if layer < 0 || l.out.ExpertAxis < 0 {
		scale = Fixed
	}
	l.code = append(l.code, Instruction{Kind: Collective, Part: part, Scale: scale, Axis: axis, Layer: layer, Chunk: int16(chunk), Micro: micro, Time: t})
}

// message writes a send or a receive and notes its place on the route.
func (l *lowering) message(stage int, kind Kind, in *schedule.Instruction, seconds float64) {
	way := [2]int{stage, int(in.Peer)}
	if kind == Receive {
		way = [2]int{int(in.Peer), stage}
	}
	r := l.routes[way]
	if r == nil {
		r = &route{}
		l.routes[way] = r
	}
	at := int32(len(l.code))
	if kind == Send {
		r.sends = append(r.sends, at)
	} else {
		r.receives = append(r.receives, at)
	}
	out := Instruction{Kind: kind, Part: partSend, Layer: -1, Chunk: int16(in.Chunk), Micro: in.Micro, Peer: in.Peer, Time: FromSeconds(seconds)}
	if kind == Send && l.out.PortRanks > 1 {
		// The cost model's time is that of the device's share of the card. One
		// message has the whole card, but must wait for its turn.
		latency := FromSeconds(l.m.Cluster.Domains[len(l.m.Cluster.Domains)-1].Latency)
		out.Shared = max(0, out.Time-latency) / Time(l.out.PortRanks)
		out.Time = min(latency, out.Time) + out.Shared
	}
	l.code = append(l.code, out)
}

// flight is how long a message is under way. Activations leave from their own
// boundary, gradients cross that of the chunk they go to.
func (l *lowering) flight(stage int, in *schedule.Instruction) float64 {
	i := stage*l.s.Shape.Chunks + int(in.Chunk)
	if in.Op == schedule.SendBackward {
		if s, c, ok := l.s.Shape.Previous(stage, int(in.Chunk)); ok {
			i = s*l.s.Shape.Chunks + c
		}
	}
	return l.s.Durations.Send[i]
}
