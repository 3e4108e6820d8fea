// Package schedule holds what every rank does in one training step, as data.
//
// A pipeline cuts the model into parts along its layers and gives each stage (a
// group of ranks) one or several parts, called chunks. A step sends its
// microbatches through the parts, forward and back. The order in which a stage
// works on its chunks and microbatches is the schedule: it decides how long
// stages idle (the bubble) and how many activations they hold at once.
//
//	Shape     kind of schedule, stages, chunks per stage, microbatches
//	Pipeline  the compute order of every stage, made from a Shape
//	Timeline  when each action runs, given how long each takes
//	Split     which blocks of the model each part holds
//	Program   the whole step of every rank: compute, sends, collectives, optimizer
//
// The same program is run by the trainer, with tensors, and by the simulator,
// with a clock. Nothing here knows either.
//
// A chunk is addressed by its stage and its number on that stage; durations and
// weights are indexed by stage*Chunks+chunk. Its position counts along the
// forward pass of the model (Shape.Position).
//
//	p, _ := schedule.NewPipeline(schedule.OneFOneB, 4, 1, 8)
//	d := schedule.NewDurations(p.Shape) // fill in seconds
//	var t schedule.Timeline
//	err := p.Time(d, &t) // t.Makespan, t.Stages[s].Bubble, ...
package schedule
