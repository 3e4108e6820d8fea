package nn

import (
	"github.com/temper-ml/temper/compute/kernel"
)

// Linear is a matrix product without bias: y = x Wᵀ, W of shape [Out, In].
type Linear struct {
	Weight
	In, Out int
}

// Mat returns the weight as a matrix.
func (l *Linear) Mat() kernel.Mat { return kernel.MatOf(l.Data, l.Out, l.In) }

// GradMat returns the gradient accumulator as a matrix.
func (l *Linear) GradMat() kernel.Mat { return kernel.MatOf(l.Grad, l.Out, l.In) }

// Forward computes y [rows, Out] from x [rows, In].
func (l *Linear) Forward(y, x []float32, rows int) {
	kernel.MatMul(kernel.MatOf(y, rows, l.Out), kernel.MatOf(x, rows, l.In), l.Mat())
}

// Backward adds dyᵀ x to the weight's gradient and writes dx = dy W, or adds
// to dx when accumulate is set. A nil dx skips the input's gradient.
func (l *Linear) Backward(dx, dy, x []float32, rows int, accumulate bool) {
	var jobs [2]kernel.Product
	n := 0
	g := kernel.MatOf(dy, rows, l.Out)
	if dx != nil {
		jobs[n] = kernel.Product{Form: kernel.NN, Out: kernel.MatOf(dx, rows, l.In), A: g, B: l.Mat(), Accumulate: accumulate}
		n++
	}
	if l.Trained() {
		jobs[n] = kernel.Product{Form: kernel.TN, Out: l.GradMat(), A: g, B: kernel.MatOf(x, rows, l.In), Accumulate: true}
		n++
	}
	kernel.Run(jobs[:n]...)
}

// Weight is a view of one parameter tensor: row-major values and, when the
// parameter is trained, the gradient accumulator of the same length. A nil
// Grad means frozen: layers then skip the gradient's computation.
type Weight struct {
	Data, Grad []float32
}

// Trained reports whether gradients are wanted.
func (w Weight) Trained() bool { return w.Grad != nil }
