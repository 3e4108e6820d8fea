package schedule

// Positions returns the number of parts the model is cut into: Stages*Chunks,
// but Stages for DualPipe, whose two chunks per stage belong to two copies.
func (s Shape) Positions() int {
	if s.Kind == DualPipe {
		return s.Stages
	}
	return s.Stages * s.Chunks
}

// Position returns which part of the model, counted along the forward pass, a
// chunk of a stage holds. Interleaved chunks go round (stage 0 holds parts 0,
// Stages, 2*Stages, ...); zb-v and dualpipev fold once (stage 0 holds the first
// and the last part); dualpipe holds part stage in chunk 0 and, for the other
// direction, part Stages-1-stage in chunk 1.
func (s Shape) Position(stage, chunk int) int {
	switch s.Kind {
	case ZBV, DualPipeV:
		if chunk == 1 {
			return 2*s.Stages - 1 - stage
		}
	case DualPipe:
		if chunk == 1 {
			return s.Stages - 1 - stage
		}
	default:
		return chunk*s.Stages + stage
	}
	return stage
}

// Place returns the stage and chunk that hold a part of the model. For dualpipe
// it is the copy of the first direction.
func (s Shape) Place(position int) (stage, chunk int) {
	stage, chunk = position%s.Stages, position/s.Stages
	if chunk == 1 && (s.Kind == ZBV || s.Kind == DualPipeV) {
		stage = s.Stages - 1 - stage
	}
	return stage, chunk
}

// Next returns the stage and chunk that a forward pass visits after the given
// one; ok is false at the end of the model.
func (s Shape) Next(stage, chunk int) (nextStage, nextChunk int, ok bool) {
	return s.step(stage, chunk, 1)
}

// Previous returns the stage and chunk that a forward pass visits before the
// given one; ok is false at the start of the model.
func (s Shape) Previous(stage, chunk int) (previousStage, previousChunk int, ok bool) {
	return s.step(stage, chunk, -1)
}

func (s Shape) step(stage, chunk, by int) (int, int, bool) {
	if s.Kind == DualPipe {
		if chunk == 1 {
			by = -by
		}
		stage += by
		return stage, chunk, stage >= 0 && stage < s.Stages
	}
	q := s.Position(stage, chunk) + by
	if q < 0 || q >= s.Positions() {
		return 0, 0, false
	}
	stage, chunk = s.Place(q)
	return stage, chunk, true
}

// Micros returns the range of microbatches, from first up to but excluding
// last, that a chunk works on: all of them, but one half per direction for
// dualpipe.
func (s Shape) Micros(chunk int) (first, last int) {
	if s.Kind == DualPipe {
		half := s.Micro / 2
		return chunk * half, chunk*half + half
	}
	return 0, s.Micro
}

// links holds, for the index stage*Chunks+chunk, the index of the next and the
// previous chunk along the forward pass, or -1, and the stages they lie on.
type links struct{ next, prev, nextStage, prevStage []int32 }

func (l *links) reset(s Shape) {
	n := s.Stages * s.Chunks
	l.next, l.prev = resize(l.next, n), resize(l.prev, n)
	l.nextStage, l.prevStage = resize(l.nextStage, n), resize(l.prevStage, n)
	for i := range n {
		l.next[i], l.nextStage[i] = s.link(s.Next(i/s.Chunks, i%s.Chunks))
		l.prev[i], l.prevStage[i] = s.link(s.Previous(i/s.Chunks, i%s.Chunks))
	}
}

func (s Shape) link(stage, chunk int, ok bool) (index, on int32) {
	if !ok {
		return -1, -1
	}
	return int32(stage*s.Chunks + chunk), int32(stage)
}

// resize returns a slice of length n, reusing the memory of s when it suffices.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
