// Package console is a conversation with a model in a terminal, or through pipes.
//
// Answers go to one writer, everything else (what the model thinks, notes, the
// prompt) to another. A line is a message, or a command that begins with a slash;
// see Help. The same lines with the same seed give the same answers.
package console
