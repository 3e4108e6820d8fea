// Package validation holds temper's predictions against what was measured.
//
// A planner that is never compared with a real cluster is an opinion. This
// package predicts every measured step that it is given (package measured),
// and keeps every one, misses included. With the same steps it fits the cost
// model's few constants, leaves one system out at a time to see what a
// prediction is worth on a machine that it has never met, and writes
// docs/validation.md with its plots.
//
// Read in this order:
//
//	predict.go    the seam to what predicts; costmodel.go: the cost model behind it
//	residual.go   logarithms of predicted over measured, and their tables
//	cross.go      leave one system out; width.go: how wide an interval has to be
//	constants.go  the fitted constants for costmodel/constants.yaml
//	report.go     docs/validation.md; plots.go: its figures
//	calibrate.go  the same fit for one cluster; calibration.go: what it says
//
// The numeric fit is package fit, the drawings are package figure.
package validation
