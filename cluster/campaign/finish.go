package campaign

import (
	"math"

	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/internal/detrand"
)

// Finish is when the run is over, in seconds after its start: one in ten runs
// is over at P10, nine in ten at P90.
type Finish struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}

// Spread is the standard deviation of the logarithm of real over predicted time.
type Spread struct {
	Training   float64 `json:"training"`   // of steps, from the cost model's interval
	Generation float64 `json:"generation"` // of rollouts
}

// generationSpread is how far off steps with generation may be: nine published
// ones, listed in the tests, are met with this spread, 6 % too slow in the mean.
const generationSpread = 0.43

// finish spreads the trials of the failures by how far off the predicted times
// may be. A step that is slower than predicted is so in every step and phase: the
// trial's one draw for training stretches all training, and one for generation
// all generation. Draws are spread evenly over the distribution.
func (s *Setting) finish(out *Result, walls []float64) {
	spread := false
	var training float64
	for i := range out.Phases {
		p := &out.Phases[i]
		spread = spread || p.write > 0
		training = max(training, p.sigma)
	}
	out.Spread.Training = training
	if spread {
		out.Spread.Generation = generationSpread
	}
	train, write := s.draws("training", len(walls)), s.draws("generation", len(walls))
	all := make([]float64, len(walls))
	for i, wall := range walls {
		stretched := 0.0
		for j := range out.Phases {
			p := &out.Phases[j]
			fixed := 1 - p.train - p.write
			stretched += float64(p.Seconds * (fixed + float64(p.train*math.Exp(p.sigma*train[i])) + float64(p.write*math.Exp(generationSpread*write[i]))))
		}
		all[i] = wall * stretched / out.Undisturbed
	}
	out.Finish = Finish(goodput.QuantilesOf(all))
}

// draws returns n standard normal numbers, evenly over the distribution, in an
// order of their own.
func (s *Setting) draws(purpose string, n int) []float64 {
	out := make([]float64, n)
	for i, at := range detrand.Key(s.Seed, "campaign/"+purpose).Permutation(n) {
		out[i] = math.Sqrt2 * math.Erfinv(2*(float64(at)+0.5)/float64(n)-1)
	}
	return out
}
