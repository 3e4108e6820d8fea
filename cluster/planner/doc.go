// Package planner finds the best way to spread a training step over a cluster,
// and proves that no other is better under the cost model.
//
// A layout is a mesh (tp, cp, pp, ep, etp; dp follows), a micro-batch size, a
// pipeline schedule with its number of chunks, and choices of recomputation, ZeRO
// level and offloading. For a large model on thousands of devices there are tens
// of millions. [Search] looks at all of them in about a second, in three steps:
//
//  1. Floors. The work of one sequence, from one table of the cost model per
//     sharding of a block, bounds the time of every layout of that sharding. The
//     layouts with the lowest floors are timed exactly and give a time to beat.
//  2. Scan. Every layout that its floor leaves a chance is scored: a lower bound on
//     its time and, to the byte, its memory. Tables make this cheap. What a block
//     costs depends on few of the choices (sheet); what an order of the pipeline
//     does is read off once per shape (geometry) and bounds it by a few sums per
//     stage (bound); memory is a closed form of sums over a stage's parts (keep).
//     A core scores about a million layouts per second.
//  3. Proof. Layouts are timed exactly, action by action, in ascending order of
//     their bounds, until no bound left is below the times found. What was never
//     timed cannot be faster: that is the [Certificate] of an [Answer].
//
// Every layout of the space meets one of three fates, and is counted: it is
// refused by a rule ([Rejections] has each with an example), bounded away, or it
// fits. The tables and costmodel.Model.Evaluate agree, which the tests hold them
// to on random layouts: equal memory, no bound above the time.
//
// [One] evaluates a single layout. Package advice asks the same search about other
// clusters, numbers of devices and improvements; package order bounds pipelines.
package planner
