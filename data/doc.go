// Package data turns files of examples into the exact token sequences of every
// training step.
//
// The path is: rows (package source) become conversations; an encoding (package
// chat) renders them; a Builder tokenises the rendering and marks what is to be
// learnt; the result is a Dataset of Examples, which a cache keeps by content;
// a Stream packs examples into rows and says which rows belong to which step.
//
// # Masks
//
// Token i of an example is supervised when the model should have produced it.
// The definition is by prefixes: for each assistant message i, the text of
// messages[:i] followed by the generation prompt must begin the text of
// messages[:i+1], which must begin the text of the whole row; the tokens in
// between, end of turn included, are what the model must learn. A row in which
// later messages change the text before an assistant turn (dropped reasoning) is
// refused, or unrolled into one example a turn: never trained on a context the
// model will not see.
//
// Special tokens come from the encoding only. Text is tokenised in runs that end
// at special tokens and where the assistant begins to speak, so a prompt gives
// the same tokens whether or not an answer follows.
//
// # Order
//
// Everything about a step is a pure function of the data set's digest, the seed,
// the sequence length, the rows in a step and the step's number: see Stream.
// Ranks, threads and restarts do not appear.
package data
