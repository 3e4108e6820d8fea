// Package nn holds the layers a transformer is built from, each with its
// forward and its hand-written backward pass.
//
// A layer is a struct of weights ([Weight]) and sizes. Forward writes its
// output and remembers what Backward will need; Backward, given the gradient
// of the output, overwrites the gradient of the input and adds to the
// gradients of the weights. Layers hold no memory of their own for
// activations: everything comes from an [Arena], so that a training step
// allocates nothing after the first one, and its peak is known.
//
// Numbers are canonical: a layer's outputs and gradients have the same bits
// whatever the instruction set, the number of threads, and the number of
// sequences processed together. That is why gradients of weights are one
// chain of additions over tokens in order, and why every choice (a router's
// top-k, the order in which experts are summed) has one written rule.
//
// Shapes, in comments and names:
//
//	T  tokens of a micro-batch        S  residual streams (4)
//	D  model dimension                E  routed experts
//	F  hidden dimension of an expert  K  experts per token
//	V  vocabulary                     N  token-expert pairs, T·K
//
// A micro-batch is T tokens in contiguous, isolated [Segment]s: no layer looks
// across the border of a segment.
package nn
