package optim

import (
	"encoding/json"
	"math"
	"os"
	"testing"
)

// goldenCase is one entry of testdata/adamw.json or muon.json; testdata/make_goldens.py says what they mean.
type goldenCase struct {
	Shape     []int
	Blocks    int
	Beta1     float64
	Beta2     float64
	Epsilon   float64
	Decay     float64 `json:"weight_decay"`
	Factor    float64 `json:"momentum_factor"`
	RMS       float64
	LR        []float64
	Start     []float64
	Gradients [][]float64
	Values    [][]float64
	First     []float64
	Second    []float64
	Momentum  []float64
}

func goldenCases(t *testing.T, file string) (cases []goldenCase) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	return cases
}

// TestAdamWMatchesTorch: per step a parameter of size w takes three roundings of w (decay, step, difference) and moves by
// about lr, itself wrong by the ten or so roundings that lead to it; 2 units in the last place of max(|w|, lr) per step cover
// both.
func TestAdamWMatchesTorch(t *testing.T) {
	for i, c := range goldenCases(t, "testdata/adamw.json") {
		cfg := Config{Name: "adamw", AdamW: AdamW{Beta1: c.Beta1, Beta2: c.Beta2, Epsilon: c.Epsilon, WeightDecay: c.Decay}}
		p := &Param{Name: "p", Rows: 1, Cols: c.Shape[0], Blocks: 1, Decay: true, Data: narrow(c.Start), Grad: make([]float32, c.Shape[0])}
		o := replay(t, cfg, p, c, func(step int, got float32, want float64) float64 {
			return float64(step+1) * 2 * ulp * math.Max(math.Abs(want), c.LR[step])
		})
		for j := range c.First {
			if e := math.Abs(float64(o.first[0][j]) - c.First[j]); e > 8*ulp*norm(c.First) {
				t.Errorf("case %d: first moment %d is %g, torch has %g", i, j, o.first[0][j], c.First[j])
			}
			// beta2 rounded to float32 weighs new gradients by 1-beta2, relatively further off than beta2 itself
			weight := math.Abs(float64(float32(c.Beta2))-c.Beta2) / (1 - c.Beta2)
			if e := math.Abs(float64(o.second[0][j]) - c.Second[j]); e > (16*ulp+weight)*c.Second[j] {
				t.Errorf("case %d: second moment %d is %g, torch has %g", i, j, o.second[0][j], c.Second[j])
			}
		}
	}
}

// TestMuonMatchesFloat64: ten Newton-Schulz steps amplify a rounding error in a small singular direction by at most 3.4445 a
// step while it grows to 1 and not at all after that, as the singular vectors are kept; 1e-5 of the update's size lr·rms·√max
// is about 170 units in the last place.
func TestMuonMatchesFloat64(t *testing.T) {
	for i, c := range goldenCases(t, "testdata/muon.json") {
		cfg := Config{Name: "muon", AdamW: Default().AdamW, Muon: Muon{Momentum: c.Factor, WeightDecay: c.Decay, RMS: c.RMS}}
		p := &Param{
			Name: "p", Rows: c.Shape[0], Cols: c.Shape[1], Blocks: c.Blocks, Matrix: true, Decay: true,
			Data: narrow(c.Start), Grad: make([]float32, len(c.Start)),
		}
		size := c.RMS * math.Sqrt(float64(max(c.Shape[0]/c.Blocks, c.Shape[1])))
		o := replay(t, cfg, p, c, func(step int, got float32, want float64) float64 {
			return float64(step+1) * (1e-5*c.LR[0]*size + 2*ulp*math.Abs(want))
		})
		for j := range c.Momentum {
			if e := math.Abs(float64(o.first[0][j]) - c.Momentum[j]); e > 8*ulp*norm(c.Momentum) {
				t.Errorf("case %d: momentum %d is %g, want %g", i, j, o.first[0][j], c.Momentum[j])
			}
		}
	}
}

const ulp = 1.0 / (1 << 24)

// replay takes the steps of a case and holds the parameter to bound after each.
func replay(t *testing.T, cfg Config, p *Param, c goldenCase, bound func(step int, got float32, want float64) float64) *Optimizer {
	t.Helper()
	o, err := New(cfg, []*Param{p})
	if err != nil {
		t.Fatal(err)
	}
	worst := 0.0
	for step, lr := range c.LR {
		copy(p.Grad, narrow(c.Gradients[step]))
		o.Step(lr, 1)
		for j, want := range c.Values[step] {
			e, limit := math.Abs(float64(p.Data[j])-want), bound(step, p.Data[j], want)
			if worst = math.Max(worst, e/limit); e > limit {
				t.Errorf("%s %v, step %d: element %d is %.9g, want %.9g: differ by %.3g, bound %.3g", cfg.Name, c.Shape, step, j, p.Data[j], want, e, limit)
			}
		}
	}
	t.Logf("%s %v: worst error %.2g of its bound", cfg.Name, c.Shape, worst)
	return o
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

func norm(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += float64(v * v)
	}
	return math.Sqrt(s)
}
