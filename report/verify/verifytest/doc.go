// Package verifytest makes complete run directories with valid, signed records,
// of any size, without training: for tests of what reads and verifies them.
// Everything in them is a pure function of [Options], so that a run can be
// "taken again" by its [Run.Replayer], and forged by [Forge].
package verifytest
