package schedule

// GroupSize returns how many microbatches pass all chunks of an interleaved
// pipeline before the next ones start: Group, or, if that is 0, the smallest
// number that Megatron-Core accepts as its group size per virtual stage. That is
// Stages where Stages divides Micro. Otherwise groups are larger, so that the
// last, smaller one still has a microbatch for every stage; with a shorter one
// stages would idle, or wait for each other in a circle. Other kinds work in one
// group of Micro.
func (s Shape) GroupSize() int {
	if s.Kind != Interleaved {
		return s.Micro
	}
	if s.Group != 0 {
		return s.Group
	}
	if s.Stages < 1 || s.Micro < s.Stages || s.Micro%s.Stages == 0 {
		return s.Stages
	}
	if s.Micro < 2*s.Stages {
		return s.Micro
	}
	for n := s.Stages + 1; ; n++ { // at the latest one group of Micro
		if s.groups(n) {
			return n
		}
	}
}

// groups reports whether microbatches may pass in groups of n: no group, the
// last one neither, may have fewer than the stages.
func (s Shape) groups(n int) bool {
	if n < s.Stages || n > s.Micro {
		return false
	}
	rest := s.Micro % n
	return rest == 0 || rest >= s.Stages
}

// nearestGroup returns the legal group size closest to Group, the smaller of
// two.
func (s Shape) nearestGroup() int {
	from := min(max(s.Group, s.Stages), s.Micro)
	for by := 0; ; by++ { // at the latest Micro
		if s.groups(from - by) {
			return from - by
		}
		if s.groups(from + by) {
			return from + by
		}
	}
}
