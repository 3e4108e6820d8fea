// Package trace is the form in which the operators of one training step are
// written down, so that two machines that got different steps can find the first
// operator on which they disagree.
//
// A trace is a list of [Entry]s, one for every operator and row, each with the
// digest of all that the operator computed for the row. Their order is one in
// which every operator comes after those that it reads from: where two traces
// first differ is a cause and not a consequence. Keys, order and digests do not
// depend on micro-batches, threads, instruction set or recomputation.
// docs/trace.md lists the operators.
//
// # File
//
// A trace's file is JSON lines: a [Header], the entries, and a [Footer] with
// their number and the root of their Merkle tree. Every line has one canonical
// text, which readers insist on, so two traces of one step can be compared with
// diff, and one operator looked up with grep.
//
// # Dispute
//
// The leaves of the Merkle tree (RFC 6962) are the entries' lines without the
// newline. Whoever has published a root cannot change an entry any more, and
// [Find] needs no more than one pair of hashes per level from each of two parties
// to find the first entry that differs. An entry's digest is over the digests of
// blocks of 1,024 values ([Entry.CheckBlocks]), and each of those over its values
// ([CheckBlock]), which is how the element is found.
package trace
