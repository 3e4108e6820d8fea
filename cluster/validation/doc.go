// Package validation holds temper's predictions against what was measured.
//
// A planner that is never compared with a real cluster is an opinion. This
// package reads published training steps (CSV files of one fixed form, and a
// few rows embedded with their sources), turns each into the model, cluster,
// workload and layout that the cost model takes, predicts it, and keeps every
// row, misses included. With the same rows it fits the cost model's few
// constants, leaves one system out at a time to see what a prediction is worth
// on a machine that it has never met, and writes docs/validation.md with its
// plots.
//
// Read in this order:
//
//	row.go        a line of a CSV file, strictly read
//	case.go       what the line means: model, engine, formats
//	layout.go     and its layout, batch, notes and result
//	machine.go    the machines by the names that publications give them
//	published.go  the embedded rows; set.go: all rows of a folder
//	predict.go    the seam to what predicts; costmodel.go: the cost model behind it
//	residual.go   logarithms of predicted over measured, and their tables
//	cross.go      leave one system out; width.go: how wide an interval has to be
//	constants.go  the fitted constants for costmodel/constants.yaml
//	report.go     docs/validation.md; plots.go: its figures
//	measured.go   a user's own log; lines.go: and JSON lines
//	calibrate.go  the same fit for one cluster; calibration.go: what it says
//
// The numeric fit is package fit, the drawings are package figure.
package validation
