// Package operator says what one rank of a training run computes, moves and
// keeps in each part of a model: the list of its matrix products with their
// shapes, the vector kernels with the bytes they move, the messages with their
// sizes, and every tensor that waits for the backward pass. There is no time in
// it; package costmodel turns the lists into seconds and package memory into
// bytes over time.
//
// A part is a transformer block ([Block]), the input embedding ([Embedding]),
// the output head with the loss ([Head]) or an MTP depth ([MTP]). How it is cut
// is a [Sharding], how large a micro-batch is and in which format are [Numbers],
// and what the training program keeps and fuses is an [Engine].
//
// The operations of all ranks add up to the ledger of [arch.Config.FLOPs]
// exactly, the parameters of all ranks to [arch.Config.Count]; tests hold both
// for every family and many shardings.
package operator
