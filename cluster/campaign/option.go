package campaign

import (
	"cmp"
	"slices"

	"github.com/temper-ml/temper/cluster/hardware"
)

// Option is one change to a phase, played anew.
type Option struct {
	Phase       string  `json:"phase"`
	Change      string  `json:"change"` // in the words of a workload file
	Seconds     float64 `json:"seconds"`
	Saves       float64 `json:"saves"` // share of the whole run, undisturbed
	StepSeconds float64 `json:"step_seconds"`
}

// change is what an Option does to a phase; false: it does not apply.
type change struct {
	name  string
	apply func(s *Setting, p *Phase) bool
}

var changes = []change{
	{"partial: true", func(_ *Setting, p *Phase) bool {
		applies := p.generates() && !p.Partial
		p.Partial = true
		return applies
	}},
	{"placement: disaggregated, off_policy: true", func(s *Setting, p *Phase) bool {
		applies := p.generates() && !p.OffPolicy && s.Devices > s.Cluster.NodeSize
		p.Placement, p.OffPolicy = "disaggregated", true
		return applies
	}},
	{"generation_dtype: fp8", func(s *Setting, p *Phase) bool {
		_, has := s.Cluster.Device.PeakOf(hardware.FP8)
		applies := p.generates() && has && fallbackText(p.GenerationDType, fallbackText(s.DType, "bf16")) == "bf16"
		p.GenerationDType = "fp8"
		return applies
	}},
	{"max_length: half", func(_ *Setting, p *Phase) bool {
		half := p.MaxLength / 2
		applies := p.generates() && half >= 2*p.MeanLength
		p.MaxLength = half
		return applies
	}},
	{"minibatches: 4", func(_ *Setting, p *Phase) bool {
		applies := p.generates() && p.Minibatches <= 1
		p.Minibatches = 4
		return applies
	}},
	{"packing: packed", func(_ *Setting, p *Phase) bool {
		applies := p.Packing == "padded"
		p.Packing = "packed"
		return applies
	}},
}

// worthTrying is the share of the run that a phase must take for its options to
// be played, and what one must save to be listed.
const worthTrying, worthListing = 0.05, 0.005

// options plays changes to the phases that take long, one at a time; what does
// not fit is left out. Those that save most come first. What a change does to
// learning is not said.
func (s *Setting) options(w *Workload, r *Result) []Option {
	var out []Option
	for i := range w.Phases {
		if r.Phases[i].Seconds < worthTrying*r.Undisturbed {
			continue
		}
		for _, c := range changes {
			p := w.Phases[i]
			if !c.apply(s, &p) {
				continue
			}
			played, err := s.play(&p)
			if err != nil {
				continue
			}
			saves := (r.Phases[i].Seconds - played.Seconds) / r.Undisturbed
			if saves >= worthListing {
				out = append(out, Option{Phase: p.Name, Change: c.name, Seconds: played.Seconds, Saves: saves, StepSeconds: played.StepSeconds})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Option) int { return cmp.Compare(b.Saves, a.Saves) })
	return out
}
