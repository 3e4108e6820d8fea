package schedule

// In the steady phase of 1F1B and of the DualPipes, stages that take equal time
// wait for each other's messages in circles. Take neighbours s..t of n stages:
// from a forward on stage s go down to its forward on t, then to the backward
// that t runs next, up to that backward on s, and to the forward that s runs
// next, which is n microbatches on. The round takes the forwards and backwards
// of all n stages and 2(n-1) sends, so each microbatch takes at least the mean
// of the stages and (n-1)/n round trips, more than any stage by itself.
//
// For the DualPipes read "pair that enters" for forward and "pair that leaves"
// for backward.

// cycle is the slowest round of neighbouring stages.
type cycle struct {
	first, last int
	length      float64 // of one round; 0 where no round is slower than a stage
	turns       []float64
	sends       []float64 // round trips between a stage and the next
}

// steadyTurns returns how many microbatches stage s runs, one by one, between
// the backward of the first microbatch and the forward of the last.
func (s Shape) steadyTurns(stage int) int {
	switch s.Kind {
	case OneFOneB:
		return s.Micro - 1 - s.Stages + stage
	case DualPipeV:
		return s.Micro - 2*s.Stages + stage - 1
	case DualPipe:
		return s.Micro/2 - s.Stages + min(stage, s.Stages-1-stage) - 1
	}
	return 0
}

// slowest finds the round with the longest time per microbatch: it raises a
// rate as long as some run of stages, with its sends, is slower.
func (b *bounder) slowest(s Shape) {
	y, c := &b.cycle, &b.costs
	y.length = 0
	if s.Kind != OneFOneB && s.Kind != DualPipe && s.Kind != DualPipeV {
		return
	}
	y.turns, y.sends = resize(y.turns, s.Stages), resize(y.sends, s.Stages)
	rate, any := 0.0, false
	for stage := range s.Stages {
		i := stage * s.Chunks
		next := i + s.Chunks
		y.sends[stage] = 0
		if s.Chunks == 1 {
			y.turns[stage] = b.busy[classForward*s.Stages+stage] + b.busy[classBackward*s.Stages+stage]
			if stage < s.Stages-1 {
				y.sends[stage] = c.flightForward[i] - c.holdForward[i] + c.flightBackward[next] - c.holdBackward[next]
			}
		} else {
			n := s.Stages * s.Chunks
			y.turns[stage] = b.busy[classPair*n+i] + b.busy[classPair*n+i+1]
			if stage < s.Stages-1 && c.holdForward[i] == 0 {
				y.sends[stage] = max(c.flightForward[i], c.flightBackward[i+1]) + max(c.flightForward[next+1], c.flightBackward[next])
			}
		}
		rate = max(rate, y.turns[stage])
		any = any || y.sends[stage] > 0
	}
	for rounds := 0; any && rounds < 8; rounds++ {
		first, last, length := y.above(rate)
		if length == 0 {
			return
		}
		y.first, y.last, y.length = first, last, length
		rate = length / float64(last-first+1)
	}
}

// above returns the run of stages that exceeds a rate by most in total, and the
// length of its round; 0 if none exceeds it.
func (y *cycle) above(rate float64) (first, last int, length float64) {
	best, sum, total, from := 0.0, 0.0, 0.0, 0
	for stage, turn := range y.turns {
		if stage == 0 || sum+y.sends[stage-1] <= 0 {
			sum, total, from = 0, 0, stage
		} else {
			sum += y.sends[stage-1]
			total += y.sends[stage-1]
		}
		sum += turn - rate
		total += turn
		if sum > best*(1+1e-12) && stage > from {
			best, first, last, length = sum, from, stage, total
		}
	}
	return first, last, length
}

// gain returns by how much rounds lengthen the steady phase of a stage.
func (b *bounder) gain(s Shape, stage int) float64 {
	y := &b.cycle
	if y.length == 0 || stage < y.first || stage > y.last {
		return 0
	}
	n := y.last - y.first + 1
	rounds := s.steadyTurns(stage) / n
	if rounds < 1 {
		return 0
	}
	return float64(rounds) * max(0, y.length-float64(float64(n)*y.turns[stage]))
}
