package costmodel

// boundBy names what takes the largest share of the step.
func (m *Model) boundBy(s *Step) string {
	group := map[string]string{
		"products": "compute", "attention": "compute", "vector": "memory bandwidth", "launch": "host",
		"bubble": "pipeline bubble", "optimizer": "optimizer", "offload": "host link", "fixed": "host", "jitter": "stragglers",
	}
	sums := map[string]float64{}
	best, most := "", -1.0
	for _, b := range s.Breakdown {
		name, ok := group[b.Name]
		if !ok {
			name = "links: " + b.Name
		}
		sums[name] += b.Seconds
		if sums[name] > most {
			best, most = name, sums[name]
		}
	}
	return best
}
