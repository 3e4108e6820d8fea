package schedule

import "testing"

// uniform returns durations that are the same for every chunk.
func uniform(s Shape, forward, input, weight float64) *Durations {
	d := NewDurations(s)
	for i := range d.Forward {
		d.Forward[i], d.Input[i], d.Weight[i] = forward, input, weight
	}
	d.Backward, d.Pair = nil, nil
	return d
}

func makespan(t *testing.T, k Kind, stages, chunks, micro int, forward, input, weight float64) float64 {
	t.Helper()
	p, err := NewPipeline(k, stages, chunks, micro)
	if err != nil {
		t.Fatal(err)
	}
	var out Timeline
	if err := p.Time(uniform(p.Shape, forward, input, weight), &out); err != nil {
		t.Fatal(err)
	}
	return out.Makespan
}

// The bubbles that the papers give in closed form, with F = 3, B_input = 2,
// W = 1.5 per stage.
func TestBubblesInClosedForm(t *testing.T) {
	const f, i, w = 3.0, 2.0, 1.5
	for _, stages := range []int{2, 4, 6, 8} {
		p := float64(stages)
		for _, micro := range []int{2 * stages, 4 * stages, 10 * stages} {
			m := float64(micro)
			for _, c := range []struct {
				kind    Kind
				chunks  int
				f, i, w float64 // per chunk
				want    float64
			}{
				{GPipe, 1, f, i, w, (m + p - 1) * (f + i + w)},
				{OneFOneB, 1, f, i, w, (m + p - 1) * (f + i + w)},
				{Interleaved, 4, f / 4, i / 4, w / 4, m*(f+i+w) + (p-1)*(f+i+w)/4},
				{ZBH1, 1, f, i, w, m*(f+i+w) + (p-1)*(f+i-w)},
				{ZBV, 2, 1, 1, 1, m*6 + (p - 1)},
			} {
				if got := makespan(t, c.kind, stages, c.chunks, micro, c.f, c.i, c.w); got != c.want {
					t.Errorf("%v stages %d micro %d: makespan %v, want %v", c.kind, stages, micro, got, c.want)
				}
			}
		}
	}
}

// DualPipe's bubble, (p/2-1)(F&B + B - 3W), where F&B is a forward and a
// backward overlapped; DualPipeV's is that of twice as many stages.
func TestBubblesOfDualPipeInClosedForm(t *testing.T) {
	const f, i, w = 4.0, 4.0, 2.0
	for _, both := range []float64{f + i + w, 0.9 * (f + i + w)} {
		for _, stages := range []int{2, 4, 8, 16} {
			for _, micro := range []int{2 * stages, 4 * stages, 10 * stages} {
				for kind, arms := range map[Kind]int{DualPipe: stages / 2, DualPipeV: stages} {
					p, err := NewPipeline(kind, stages, 2, micro)
					if err != nil {
						t.Fatal(err)
					}
					d := uniform(p.Shape, f, i, w)
					d.Pair = make([]float64, 2*stages)
					for k := range d.Pair {
						d.Pair[k] = both
					}
					var out Timeline
					if err := p.Time(d, &out); err != nil {
						t.Fatal(err)
					}
					want := float64(arms-1) * (both + (i + w) - 3*w)
					if got := out.Stages[arms-1].Bubble; got != want {
						t.Errorf("%v with F&B %v: the stage where the arms meet idles %v, want %v", p.Shape, both, got, want)
					}
				}
			}
		}
	}
}
