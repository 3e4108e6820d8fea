// Package measured reads training steps that somebody measured: published
// ones, from CSV files of one fixed form and from a few embedded rows with
// their sources, and a user's own, from the logs of runs.
//
// Everything becomes a [Case]: what ran, on what, in which layout, and what
// came out, as far as a prediction needs it. Rows are read strictly, with file,
// line and column in each refusal; what a row leaves open is filled by a rule
// that is the same for all rows, and named in the case.
//
//	row.go        a line of a CSV file, as it is written
//	case.go       what the line means: model, engine, formats
//	layout.go     and its layout, batch, notes and result
//	machine.go    the machines by the names that publications give them
//	model.go      a case as the cost model takes it
//	published.go  the embedded rows; load.go: all rows of a folder
//	read.go       a user's own CSV, log or run; lines.go: JSON lines
package measured
