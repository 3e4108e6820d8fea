// Package preference is preference optimisation as a stage: the log-probabilities
// that a reference gives to answers, the objective over a step's pairs, and what
// held-out pairs say of a model. The losses themselves are package dpo's.
//
// A pair's two answers are neighbouring segments of one row: an even segment is
// chosen, the odd one after it rejected, and an answer's tokens are those with
// labels. All means are over the pairs of the whole step, so neither micro-batches
// nor ranks change a bit.
//
// Answers that are judged one by one, for kto, are segments of their own; pairs are
// taken apart into two. Before a step's first gradient the model is run on the
// step's prompts with each other's answers: their mean log-ratio, at least 0, is the
// z of the loss. Which answers those are depends on nothing but the step's examples,
// so their reference is computed beforehand like that of the answers themselves.
package preference
