package schedule

// LowerBound returns a time that no run of the pipeline with these durations
// can undercut: Timeline.Makespan is never below it. It takes time proportional
// to Stages*Chunks, whatever the number of microbatches, and returns 0 for
// durations or shapes that Time refuses.
func (s Shape) LowerBound(d *Durations) float64 {
	var c costs
	if s.Check() != nil || c.reset(s, d) != nil {
		return 0
	}
	bound := 0.0
	for stage := range s.Stages {
		work := 0.0
		for chunk := range s.Chunks {
			i := stage*s.Chunks + chunk
			first, last := s.Micros(chunk)
			each := c.forward[i] + min(c.backward[i], c.input[i]+c.weight[i])
			if d.Input == nil {
				each = c.forward[i] + c.backward[i]
			}
			if d.Pair != nil && s.Chunks == 2 {
				each = min(each, c.pair[i]/2)
			}
			work += float64(float64(last-first) * each)
		}
		bound = max(bound, work)
	}
	return bound
}
