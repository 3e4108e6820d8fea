// Package eval measures a model on data it was not trained on: the loss of
// held-out rows, and suites of questions.
//
//	q, err := suite.Load(ctx, reader)        // a file's rows as questions
//	r, err := q.Measure(ctx, model, options) // every measure with its count and interval
//
// # Kinds of suites
//
//	exact       greedy decoding would produce the row's answers, end of turn included
//	choice      the right one of several answers is the most likely one
//	preference  the chosen answer is more likely than the rejected one
//	perplexity  loss per token, byte and word of text
//	refusal     greedy answers that decline
//	pass@k      at least one of k sampled answers is judged right
//
// The first four generate nothing. Greedy decoding produces an answer if and
// only if, given the question and the answer so far, every token of the answer is
// the most likely one (ties: the lowest id). The likelihood of an answer is that
// of all its tokens, end of turn included, so that an answer that begins another
// one competes with it as a whole.
//
// # Canonical results
//
// A log-probability has the bits of a training pass, whatever else is in the
// batch. Those of an answer are added in float64 in the order of its tokens, those
// of a suite in the order of the file. So no result depends on batches, threads or
// instruction sets; sampled tokens are keyed by seed, row and sample.
//
// # Intervals
//
// Every measure has an interval of 95 %, unless there is a single thing it is of:
// interval.go derives them.
package eval
