// Package rollout asks a policy questions and keeps what it answers, in rounds that
// survive crashes.
//
// A stage that learns from its own answers goes through an endless order of
// [Questions]. A [Round] takes the next ones, samples a group of answers to each and
// judges them; a few optimizer steps learn it, then comes the next. docs/rollouts.md
// has the format of a round's file and what it guarantees.
//
// # What an answer depends on
//
// The weights, the question, the recipe's sampling, and (seed, cursor of the question,
// number of the sample, position of the token), which name its random numbers. Not
// on what is sampled at the same time, how often the process was killed, or when rules
// came to their verdicts.
package rollout
