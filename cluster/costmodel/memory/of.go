package memory

import "fmt"

// Of returns the memory of one rank of the stage.
func Of(s *Stage) (*Report, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	t := s.Contents()
	r := s.Rules()
	kept := s.Kept()
	if err := s.checkLive(kept); err != nil {
		return nil, err
	}
	live, first := s.live(kept), int64(0)
	if len(kept) > 0 {
		first = kept[0]
	}
	return s.report(&r, t, live, first), nil
}

// Contents adds up what the stage holds.
func (s *Stage) Contents() *Contents {
	t := &Contents{}
	for _, ch := range s.Chunks {
		if ch.Embedding {
			t.AddEmbedding(s.Works)
		}
		for l := ch.First; l < ch.First+ch.Blocks; {
			n := 1
			for l+n < ch.First+ch.Blocks && s.Works.Blocks[l+n] == s.Works.Blocks[l] {
				n++
			}
			t.AddBlock(s.Works, l, n, s.Recompute)
			l += n
		}
		if ch.Head {
			t.AddHead(s.Works)
		}
		for d := range ch.MTP {
			t.AddMTP(s.Works, d, s.Recompute)
		}
	}
	t.Finish(s.Works)
	return t
}

// Kept returns the activation bytes that one micro-batch in flight holds, by chunk.
func (s *Stage) Kept() []int64 {
	out := make([]int64, len(s.Chunks))
	for i, ch := range s.Chunks {
		if ch.Embedding {
			out[i] += s.Works.Embedding.Kept(s.Recompute)
		}
		for l := ch.First; l < ch.First+ch.Blocks; l++ {
			out[i] += s.Works.Blocks[l].Kept(s.Recompute)
		}
		if ch.Head {
			out[i] += s.Works.Head.Kept(s.Recompute)
		}
		for d := range ch.MTP {
			out[i] += s.Works.Blocks[s.Works.Model.NumLayers+d].Kept(s.Recompute)
		}
	}
	return out
}

// live returns the activation bytes in flight at the stage's worst moment.
func (s *Stage) live(kept []int64) int64 {
	if s.Order != nil {
		return s.Order.Peak(s.Index, kept, nil)
	}
	var sum int64
	for i, ch := range s.Chunks {
		sum += int64(float64(kept[i]) * ch.InFlight)
	}
	return sum
}

// checkLive refuses amounts of activations that could not be added up.
func (s *Stage) checkLive(kept []int64) error {
	sum := 0.0
	for i, n := range kept {
		flight := s.Chunks[i].InFlight
		if s.Order != nil {
			flight = float64(s.Order.Micro)
		}
		if flight < 0 || flight != flight {
			return fmt.Errorf("memory: chunk %d has %g micro-batches in flight, want at least 0", i, flight)
		}
		sum += float64(float64(n) * flight)
	}
	if sum > 1e18 {
		return fmt.Errorf("memory: activations of up to %g bytes, want at most 1e18: fewer micro-batches or tokens", sum)
	}
	return nil
}

// widest returns the block whose backward pass holds the most.
func (s *Stage) widest() int {
	widest, most := -1, int64(-1)
	for _, ch := range s.Chunks {
		for l := ch.First; l < ch.First+ch.Blocks; l++ {
			w := s.Works.Blocks[l]
			if n := again(w, s.Recompute) + w.BackwardPeak; n >= most { // the last of equals runs first
				widest, most = l, n
			}
		}
	}
	return widest
}

// report lists the moments and reads the worst.
func (s *Stage) report(r *Rules, t *Contents, live, first int64) *Report {
	st := r.state(t)
	out := &Report{Host: st.host, Weights: st.weights, Gradients: st.gradients, Optimizer: st.optimizer}
	for m := Start; m < moments; m++ {
		u := r.at(m, t, live, first)
		if !u.present {
			continue
		}
		p := Phase{Name: m.String(), Parts: []Part{
			{"weights", st.weights},
			{"gradients", st.gradients},
			{"optimizer", st.optimizer},
			{"activations", u.activations},
			{"buffers", u.buffers},
			{"workspace", u.workspace},
		}}
		if m == BlockBackward {
			p.Name += fmt.Sprintf(" %d", s.widest())
		}
		p.Total = st.weights + st.gradients + st.optimizer + u.total()
		out.Timeline = append(out.Timeline, p)
		if p.Total > out.Allocated {
			out.Allocated, out.PeakMoment = p.Total, p.Name
			out.Activations, out.Buffers, out.Workspace = u.activations, u.buffers, u.workspace
		}
	}
	out.Reserved, out.Total = r.Totals(out.Allocated)
	out.Fragmentation = out.Total - out.Allocated
	return out
}
