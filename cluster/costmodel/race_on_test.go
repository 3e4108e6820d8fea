//go:build race

package costmodel_test

// raceFactor is how much slower the race detector makes everything.
const raceFactor = 10
