package optim

import (
	"fmt"
	"math"

	"github.com/temper-ml/temper/compute/kernel"
)

// Param is one trainable tensor as an optimizer sees it.
type Param struct {
	Name string
	// Rows and Cols are the tensor's shape; a vector has Rows == 1.
	Rows, Cols int
	// Matrix says that Muon may orthogonalise it; false means AdamW always.
	Matrix bool
	// Blocks splits the rows into that many logically independent matrices
	// (the output groups of wo_a); at least 1.
	Blocks int
	// Decay says whether AdamW applies weight decay to it.
	Decay bool
	// Data and Grad are the values and their gradient, Rows*Cols each.
	Data, Grad []float32
}

func (p *Param) check() error {
	n := p.Rows * p.Cols
	switch {
	case p.Rows < 1 || p.Cols < 1 || len(p.Data) != n || len(p.Grad) != n:
		return fmt.Errorf("optim: %s is %dx%d but holds %d values and %d gradients", p.Name, p.Rows, p.Cols, len(p.Data), len(p.Grad))
	case p.Blocks < 1 || p.Rows%p.Blocks != 0:
		return fmt.Errorf("optim: %s has %d rows in %d blocks: blocks must divide rows", p.Name, p.Rows, p.Blocks)
	}
	return nil
}

// GradNorm returns the Euclidean norm of all gradients together, each counted
// once. Sums run over fixed chunks in parameter order, so the result does not
// depend on threads, shards or ranks.
func GradNorm(params []*Param) float64 {
	sum := 0.0
	for _, p := range params {
		sum += kernel.SumSquares64(p.Grad)
	}
	return math.Sqrt(sum)
}

// ClipScale returns the factor that brings a gradient of the given norm to at
// most limit: min(1, limit/(norm+1e-6)). A limit of 0 means no clipping.
func ClipScale(norm, limit float64) float32 {
	if limit <= 0 || norm+1e-6 <= limit {
		return 1
	}
	return float32(limit / (norm + 1e-6))
}
