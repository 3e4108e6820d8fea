// Package policybench measures reinforcement learning end to end: rounds of answers
// that are sampled, judged, written to their files and learnt, with sampling in turn
// with the updates and beside them. It tells tokens a second of sampling, of updates
// and of both, and how much of the cores' time nothing ran.
package policybench
