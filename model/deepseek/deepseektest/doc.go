// Package deepseektest is the slow, plain reference of the DeepSeek V4 and V3 models that the engine is measured against.
//
// It computes in float64, one sequence at a time, with dense masks and without any cache, fusion or chunking: every function
// is one group of equations of the technical report, and cites their numbers (docs/model.md lists them). No derivative is
// written by hand. A small reverse-mode tape (Tape) records each elementary operation and runs the chain rule backwards, so
// the gradients here owe nothing to the derivations the engine uses, and the tape in turn is checked by finite differences.
//
// A newcomer reads tape.go, then model.go, then follows the calls. Typical uses:
//
//	r := deepseektest.New(cfg, params)           // params by published tensor name, as float64
//	out, err := r.Run(batch, scales)             // losses, log-probabilities, gradient per tensor name
//
//	t := r.Tape                                  // or one block alone:
//	y := r.Attention("layers.2.attn", 4, t.Input(x, T, d))
//	t.Backward(t.Sum(t.Mul(y.Out, t.Const(dy, T, d))))
//
// Shape legend: T tokens of one sequence, d hidden size, S residual streams, H heads, D head dimension, N keys,
// E experts, K experts per token, F expert width, V vocabulary, R query rank, G output groups.
//
// Discrete choices (experts, compressed keys, the side of a clamp or a ReLU) are recorded while the model runs, so that a
// finite difference can hold them fixed, and a comparison with float32 can see how close the nearest tie was.
package deepseektest
