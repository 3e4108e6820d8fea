// Package devicebench measures this machine as a device that models are
// trained on: the peak of its multiply-add units, what its matrix products
// reach of it, the bandwidth of its memory, and the cost of starting an
// operation. They are the numbers that a description of a cluster consists of.
//
// Everything is measured by its fastest bursts, many times in turn, since a
// clock drifts and other programs come and go.
package devicebench
