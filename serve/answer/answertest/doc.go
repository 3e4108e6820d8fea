// Package answertest has what tests of answers need: a tokenizer that cuts words
// and characters at unexpected places, an engine that writes what it is told to,
// and a small model of random weights.
package answertest
