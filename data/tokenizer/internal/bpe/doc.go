// Package bpe is byte-pair encoding proper: merging the symbols of one word by rank, a cache of words
// already merged, and learning the merges from counted words.
//
// A word starts as one symbol per byte (byte-level models) or per character. As long as some adjacent
// pair is in the merge table, the pair with the lowest rank is replaced by its token, the leftmost first.
package bpe
