package nn

// Weight is a view of one parameter tensor: row-major values and, when the
// parameter is trained, the gradient accumulator of the same length. A nil
// Grad means frozen: layers then skip the gradient's computation.
type Weight struct {
	Data, Grad []float32
}

// Trained reports whether gradients are wanted.
func (w Weight) Trained() bool { return w.Grad != nil }
