package nn

import "github.com/temper-ml/temper/compute/kernel"

// RMSNorm scales each row to unit root mean square and by a weight [Dim]:
// y = w · x / sqrt(mean(x²) + Eps).
type RMSNorm struct {
	Weight
	Dim int
	Eps float32
}

// Forward computes y and, for the backward pass, the reciprocal root mean
// square of every row in rstd.
func (n *RMSNorm) Forward(y, rstd, x []float32, rows int) {
	kernel.RMSNorm(y, rstd, x, n.Data, rows, n.Dim, n.Eps)
}

// Backward adds to dx and to the weight's gradient, from the x and rstd of
// Forward.
func (n *RMSNorm) Backward(dx, dy, x, rstd []float32, rows int) {
	kernel.RMSNormBackward(dx, n.Grad, dy, x, n.Data, rstd, rows, n.Dim)
}
