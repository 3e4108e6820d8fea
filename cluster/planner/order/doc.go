// Package order bounds the time and counts the memory of pipeline orders without
// running them.
//
// What a schedule does with p stages and m microbatches is a list of m times p
// times some actions; timing it takes as long as the list. A search needs an
// answer for millions of layouts, but sees few orders: [New] reads off each once
// how often every stage runs what, what it runs after the last gradient that
// another stage waits for, and which activations are alive at the moments that
// can be its worst. [Order.Ends] then bounds the end of every stage for any
// durations by a few sums, and [Order.Worst] is exact.
//
//	o, err := order.New(schedule.Shape{Kind: schedule.ZBV, Stages: 8, Chunks: 2, Micro: 64})
//	o.Ends(passes, head, tail, ends) // ends[stage] <= the end of its last action
package order
