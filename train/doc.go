// Package train takes optimizer steps: it cuts a step's rows into gradient
// slots and micro-batches, runs the model forward and backward over them,
// clips, updates parameters and the routers' balance bias, and guards every
// stage against values that are not finite.
//
// # What a step means
//
// A Source gives the rows of a step as a pure function of the step's number.
// The rows are cut in order into Config.Slots contiguous slots. Within a slot
// every gradient element is one chain of additions in row order; slots are
// added by a fixed binary tree. Micro-batches only decide how many rows are in
// memory at once. So the update is the same, bit for bit, for every micro-batch
// size, number of threads and, later, number of ranks that own whole slots.
//
// The objective is the token mean over the whole step (never a mean of means):
// the number of supervised tokens is counted before the first backward pass.
package train
