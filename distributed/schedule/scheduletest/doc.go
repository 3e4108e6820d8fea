// Package scheduletest runs the programs of package schedule on ranks that are
// goroutines, to show that they can be run and compute what they should.
//
// It knows no clock and no real tensors. The model is a toy: the hidden state of
// a token is one number, a weight is one number, and every product of a
// transformer is a polynomial of them that is cut over ranks as the real one is:
// attention by heads and over the tokens of a sequence, feed-forward parts by
// slices, experts by expert and slice, vocabularies by rows. Numbers are those of
// the field of integers modulo 2^61-1, where sums and products are exact and do
// not depend on their order. Whatever the mesh, the schedule and the ZeRO stage,
// two steps must therefore leave the very weights that one rank leaves.
//
// Beside its sum each gradient carries its provenance, how often it has seen
// each token of the global batch, and each message the part of the model and the
// microbatch that it comes from, so that a broken program is refused by name:
//
//	p, err := schedule.NewProgram(spec)
//	err = scheduletest.Check(ctx, p)
//
// Ranks block on channels. When all that have not ended wait, the run is over,
// and the error names who waits in what for whom; no clock is needed for that.
package scheduletest
