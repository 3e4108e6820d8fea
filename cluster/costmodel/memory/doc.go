// Package memory adds up what one rank of a pipeline stage keeps in device
// memory over a training step: weights, gradients, optimizer state, activations
// in flight, buffers of collectives, and the temporaries of the operator that is
// running. It says when the most is alive, and of what it consists.
//
// The amounts come from package operator, which lists every tensor that an
// operator keeps; nothing here is fitted. Fill a [Stage] and ask [Of].
package memory
