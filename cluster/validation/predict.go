package validation

import (
	"fmt"
	"math"
	"runtime"
	"sync"

	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/cluster/validation/measured"
)

// Predictor predicts cases again and again under other constants. It is the
// seam between the statistics of this package and the cost model.
type Predictor interface {
	// Parameters are the constants to fit, with their priors.
	Parameters() []fit.Parameter
	// Affects reports whether a parameter can change the prediction of a case.
	Affects(parameter int, c *measured.Case) bool
	// Prepare does for a case everything that the constants do not change.
	Prepare(c *measured.Case) (Prepared, error)
}

// Prepared is a case of which only the time is still to be computed.
type Prepared interface {
	// Seconds is the predicted step under the parameters' values.
	Seconds(theta []float64) (float64, error)
	// Memory is the predicted peak of the busiest device, as its allocator
	// counts it.
	Memory(kind measured.MemoryKind) float64
	// MoE reports whether the model has experts.
	MoE() bool
}

// Set is a set of cases that are fitted together.
type Set struct {
	Cases     []measured.Case
	Predictor Predictor

	prepared []Prepared
	systems  []string // by first appearance
	system   []int    // of each case
}

// NewSet prepares cases for prediction.
func NewSet(cases []measured.Case, p Predictor) (*Set, error) {
	s := &Set{Cases: cases, Predictor: p, prepared: make([]Prepared, len(cases)), system: make([]int, len(cases))}
	index := map[string]int{}
	for i := range cases {
		q, err := p.Prepare(&cases[i])
		if err != nil {
			return nil, fmt.Errorf("validation: %s: %w", cases[i].Position, err)
		}
		s.prepared[i] = q
		k, ok := index[cases[i].System]
		if !ok {
			k = len(s.systems)
			index[cases[i].System] = k
			s.systems = append(s.systems, cases[i].System)
		}
		s.system[i] = k
	}
	return s, nil
}

// kinship is the correlation that is assumed between the errors of two rows of
// one system: what makes a hundred rows of one machine worth few machines.
const kinship = 0.05

// Noise is the spread that is expected of one row, and from where on a row
// counts as an outlier.
const Noise = 0.05

// Problem is the set as a problem of fitting. Each row weighs what its system's
// rows are worth as independent observations, divided among them.
func (s *Set) Problem() *fit.Problem {
	p := &fit.Problem{
		Parameters: s.Predictor.Parameters(),
		Weight:     s.weights(),
		Noise:      Noise,
		Residuals:  s.residuals,
		Affects:    func(parameter, row int) bool { return s.Predictor.Affects(parameter, &s.Cases[row]) },
	}
	return p
}

// weights are those of the rows, of which held ones have none.
func (s *Set) weights() []float64 {
	ws := weights(s.system)
	for i := range s.Cases {
		if s.Cases[i].Held {
			ws[i] = 0
		}
	}
	return ws
}

// weights are what rows are worth as independent observations; system[i] is
// the system of row i.
func weights(system []int) []float64 {
	count := map[int]int{}
	for _, k := range system {
		count[k]++
	}
	ws := make([]float64, len(system))
	for i, k := range system {
		ws[i] = 1 / (1 + float64(kinship*float64(count[k]-1)))
	}
	return ws
}

// residuals predicts some rows, on all processors.
func (s *Set) residuals(theta []float64, rows []int, out []float64) error {
	workers := min(runtime.GOMAXPROCS(0), len(rows))
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for k := w; k < len(rows) && errs[w] == nil; k += workers {
				out[k], errs[w] = s.residual(theta, rows[k])
			}
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// residual is the logarithm of predicted over measured of one case.
func (s *Set) residual(theta []float64, i int) (float64, error) {
	seconds, err := s.prepared[i].Seconds(theta)
	if err != nil {
		return 0, fmt.Errorf("validation: %s: %w", s.Cases[i].Position, err)
	}
	if !(seconds > 0) || math.IsInf(seconds, 0) {
		return 0, fmt.Errorf("validation: %s: predicted %v s", s.Cases[i].Position, seconds)
	}
	return math.Log(seconds / s.Cases[i].Seconds), nil
}
