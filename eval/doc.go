// Package eval measures a model on data it was not trained on: the token-mean
// loss and perplexity of rows, and exact answers to questions.
//
// An answer counts as exact when greedy decoding would produce it, end of turn
// included. That is decided without decoding: the answer is what greedy
// decoding produces if and only if, given the question and the answer so far,
// every token of the answer is the most likely one (ties: the lowest id).
package eval
