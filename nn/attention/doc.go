// Package attention holds the attention sublayers of the DeepSeek family:
// [Sparse], the shared-key attention of V4 in its three kinds, and [MLA], the
// latent attention of V3. Each computes a whole micro-batch of isolated
// segments, forward and backward.
//
// # V4
//
// All heads share one vector per token, which is key and value at once. A query
// sees a sliding window of tokens and, depending on the layer's ratio,
// compressed entries that each stand for a block of earlier tokens:
//
//	ratio 0    SWA  the window only
//	ratio 4    CSA  the entries that a small indexer scores highest; blocks overlap
//	others     HCA  every entry
//
// The path of a token, with the weights that take part:
//
//	x ─ WQA ─ QNorm ─ WQB ─ head norm ─ rotate ── q ─┐
//	x ─ WKV ─ KVNorm ─ rotate ──────────── window ───┤
//	x ─ Compressor ─ rotate ───────────── entries ───┼─ attention, Sink ─ rotate back ─ WOA ─ WOB ─ out
//	x, qr ─ Indexer ─ top-k ─ which entries ─────────┘
//
// The indexer learns from its own loss alone: the divergence of its scores'
// softmax from the attention that the chosen entries really got. No gradient of
// that loss leaves the indexer, and no other gradient reaches it.
//
// # Shapes
//
// T tokens, D model dimension, H heads, E compressed entries of all segments in
// order, R query rank, G output groups.
package attention
