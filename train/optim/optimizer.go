package optim

import (
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
)

// Optimizer holds the state of one optimizer over a fixed list of parameters.
type Optimizer struct {
	cfg     Config
	params  []*Param
	first   [][]float32 // AdamW's m, or Muon's momentum
	second  [][]float32 // AdamW's v; nil for Muon
	steps   int64
	groups  []muonGroup
	scratch []float32 // of the largest group
}

// New returns an optimizer with zero state for params.
func New(cfg Config, params []*Param) (*Optimizer, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	o := &Optimizer{cfg: cfg, params: params, first: make([][]float32, len(params)), second: make([][]float32, len(params))}
	for i, p := range params {
		if err := p.check(); err != nil {
			return nil, err
		}
		o.first[i] = make([]float32, len(p.Data))
		if !o.usesMuon(p) {
			o.second[i] = make([]float32, len(p.Data))
		}
	}
	o.groups = o.groupMatrices()
	o.scratch = make([]float32, scratchNeed(o.groups))
	return o, nil
}

func (o *Optimizer) usesMuon(p *Param) bool { return o.cfg.Name == "muon" && p.Matrix }

// Step applies one update with learning rate lr to all parameters. scale
// multiplies every gradient first (the clipping factor).
func (o *Optimizer) Step(lr float64, scale float32) {
	o.steps++
	a := &o.cfg.AdamW
	b1, b2 := float32(a.Beta1), float32(a.Beta2)
	// The corrections must be those of the rounded betas that the update uses: 1-float32(0.999) is 1.3e-5 off 0.001.
	c1, c2 := 1-power(float64(b1), o.steps), 1-power(float64(b2), o.steps)
	for i, p := range o.params {
		if o.usesMuon(p) {
			continue
		}
		decay := a.WeightDecay
		if !p.Decay {
			decay = 0
		}
		kernel.AdamW(p.Data, p.Grad, o.first[i], o.second[i], float32(lr), b1, b2,
			float32(a.Epsilon), float32(decay), float32(c1), float32(c2), scale)
	}
	for i := range o.groups {
		o.stepMuon(&o.groups[i], lr, scale)
	}
}

// power is x^n by repeated squaring: math.Pow may differ between architectures.
func power(x float64, n int64) float64 {
	r := 1.0
	for ; n > 0; n >>= 1 {
		if n&1 == 1 {
			r *= x
		}
		x *= x
	}
	return r
}

// Slot is one named piece of optimizer state, aliasing the live memory.
type Slot struct {
	Name string // "momentum", "first" or "second", a slash, the parameter's name
	Data []float32
}

// Slots lists all state but the step counter, in parameter order.
func (o *Optimizer) Slots() []Slot {
	var s []Slot
	for i, p := range o.params {
		if o.usesMuon(p) {
			s = append(s, Slot{"momentum/" + p.Name, o.first[i]})
		} else {
			s = append(s, Slot{"first/" + p.Name, o.first[i]}, Slot{"second/" + p.Name, o.second[i]})
		}
	}
	return s
}

// Steps returns how many updates have been applied: AdamW's t. It is part of
// the state: a resumed run that restarts it at 0 takes wrong steps.
func (o *Optimizer) Steps() int64 { return o.steps }

// SetSteps restores the step counter of a saved state.
func (o *Optimizer) SetSteps(n int64) error {
	if n < 0 {
		return fmt.Errorf("optim: step counter %d is negative", n)
	}
	o.steps = n
	return nil
}

// MemoryBytes returns the memory of an optimizer, in bytes: its state and its
// scratch. The parameters need no data and no gradients for this.
func MemoryBytes(cfg Config, params []*Param) (state, scratch int64) {
	o := &Optimizer{cfg: cfg, params: params, first: make([][]float32, len(params))}
	for _, p := range params {
		slots := int64(2)
		if o.usesMuon(p) {
			slots = 1
		}
		state += slots * 4 * int64(p.Rows) * int64(p.Cols)
	}
	return state, 4 * int64(scratchNeed(o.shapes()))
}
