// Package policy makes a stage of group relative policy optimisation: it turns
// rounds of answers into the rows of optimizer steps and is the objective of those.
// docs/reinforcement.md tells what is computed and why.
//
// # Steps of a round
//
// A round takes updates × epochs steps. Its groups that teach something, in the order
// of their questions, are cut into as many runs as there are updates; a step learns one
// of them, an epoch all. What a step learns is a function of the round and the step:
// advantages, divisors and rows are known before its first gradient.
//
// # Three policies
//
// The weights that sampled an answer (μ), those whose distance is bounded (π_old), and
// those that are updated (π). Without a round ahead the first two are the same, and
// their log-probabilities are those recorded when the answers were sampled: to the bit
// what the trainer computes, so the first step of a round must find ratios of exactly 1.
package policy
