// Package demo makes the data of `temper demo`: a small text about a workshop
// to pre-train on, and questions on units of measure to instruction-tune on,
// with others held out. Everything is written by the grammar in this package
// from keyed random numbers, so the data is the project's own, the same on
// every machine, and nothing is downloaded.
package demo
