// Package opd is on-policy distillation: a student learns, at every position of its
// own answers, the whole distribution of a teacher that is good at that kind of
// question, or of several.
//
// A [Stage] is both the [train.Source] of the rows and their [train.Teaching]:
//
//	stage, err := opd.New(ctx, vocabulary, teachers, lessons, options)
//	trainer, err := train.New(cfg, student, stage, rows, now)
//	err = trainer.Teach(stage, 0)
//
// [Own] makes the lessons of the student's own answers, in rounds that package
// rollout samples and keeps; [Given] those of answers that are in the data.
//
// # One at a time
//
// Teachers are as large as the student, and there may be a dozen. So before the first
// gradient of a step, or of all steps whose rows are known ([Stage.Prepare]), each
// teacher that they need is loaded, alone, reads its rows, and goes again; what stays are its last hidden states at the positions that
// are learnt: D numbers each, where logits would be V. While the student learns, the
// logits are made again, through the teacher's head, for a tile of rows and vocabulary
// at a time (see [nn.Head.Distill]). Rows are sorted by teacher, so only the heads of
// one micro-batch are in memory.
//
// States and heads are kept in memory, or in a directory ([Options].Dir): every file
// is named after what it was made from, the digests of the teacher and of the row,
// and ends with a digest of its bytes. After a crash the files that are there are used.
// A damaged file is computed again; results do not depend on what was cached. A directory
// belongs to one process.
//
// # What decides the result
//
// The divergence, teachers' weights and bits, and the rows in their sorted order, which
// is that of the step's gradient. Neither when teachers were loaded nor what else was
// in a batch changes a bit.
package opd
