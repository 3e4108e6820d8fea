//go:build !race

package costmodel_test

const raceFactor = 1
