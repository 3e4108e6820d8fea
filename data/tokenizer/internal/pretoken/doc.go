// Package pretoken cuts text into the pieces that byte-pair encoding works on.
//
// A tokenizer never merges across the border of two pieces, so the cutting rule decides the ids as much
// as the merges do. In a Hugging Face tokenizer.json the rule is a sequence of stages, most of them
// regular expressions with look-ahead. The expressions that matter in practice (GPT-2, Llama-3 and its
// digit-by-digit variant, DeepSeek's three splits) are recognised by their exact text and run as
// hand-written scanners, far faster than a backtracking engine; every other expression
// runs on regexp2. Tests hold the two against each other on random Unicode.
//
// Character classes are tables of this package (Unicode 16), so that ids do not change with the Go
// release. Text need not be valid UTF-8: each byte that is not part of a valid sequence counts as one
// U+FFFD.
package pretoken
