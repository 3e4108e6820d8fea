// Package answer lets a model answer: from a conversation or a text to tokens,
// through an engine, and back to text, part by part while it is written.
//
// Serving over HTTP (package serve) and the chat in a terminal (package
// serve/console) are built on it.
//
// An answer is a function of the model, the request and its seed: of nothing else
// that is asked at the time, and of no clock. Where it is cut into deltas is not.
package answer
