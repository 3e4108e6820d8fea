// Package costmodel predicts how long one training step takes: a model, a
// cluster, a workload and one layout in, seconds with an interval out, and the
// reason for every one of them.
//
// The prediction is built bottom-up, and each level can be read alone:
//
//	kernel.go    one operator on one device: a roofline whose product rate
//	             knows tiles, waves and the power limit
//	fabric       one message on the links (package fabric)
//	part.go      one part of the model (a block, the head) and one micro-batch:
//	             what its passes compute, wait for and hide
//	stage.go     the parts of each pipeline stage
//	evaluate.go  the schedule of all stages, the reduction of gradients, the
//	             optimizer, and everything that happens once per step
//	interval.go  how far off that may be
//
// What operators there are comes from package operator, the order of passes from
// package schedule, peaks and links from package hardware. The only numbers that
// were fitted to measurements are in constants.yaml, each with its meaning, its
// prior and its standard error; all rows of a device share them.
//
//	m, err := costmodel.New(model, cluster, 2048, workload, costmodel.Options{})
//	step, err := m.Evaluate(layout)  // *Rejection when the layout is not legal
//	fmt.Println(step.Seconds, step.Low, step.High, step.BoundBy)
package costmodel
