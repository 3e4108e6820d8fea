// Package arch describes a model's architecture as plain data: the published
// config.json, the table of parameters it implies, and the operations that one
// token costs. It holds no tensors and computes no activations, so the planner,
// the checkpoint reader and the trainer can all ask the same questions of it.
//
// Start with [Builtin] or [ParseConfig]; both return a [Config] that has passed
// [Config.Check]. From there:
//
//   - [Config.Tensors] lists every parameter once, in canonical order, under the
//     name it has in the published checkpoint, with its shape, its [Role] and the
//     optimizer that trains it;
//   - [Config.Published] lists what the published files hold, quantisation scales
//     and duplicates included;
//   - [Config.Count] and [Config.StateBytes] add the table up;
//   - [Config.FLOPs] is a ledger of the products one packed sequence needs, by
//     named component, counting only keys that are really attended.
//
// # Families
//
// A [Family] is what model_type says. temper trains two, and describes and counts
// the others, so that plans and predictions can be made for models that people have
// measured elsewhere ([Family.Trainable], [Config.CheckTrainable]).
//
// DeepSeek-V4 has four residual streams (mHC), one shared key/value head, and layers
// of three kinds that follow from compress_ratios: 0 attends a sliding window only
// ([Window]); 4 adds compressed keys chosen by an indexer, made from overlapping
// pairs of blocks ([CSA]); any other ratio, 2 or more, adds one compressed key per
// block, all of them attended ([HCA]). DeepSeek-V3 (Kimi K2 too) and V2 use latent
// attention ([MLA]) and group-limited routing. All others attend with grouped
// queries ([GQA]), dense (Llama, Mistral, Qwen2, Qwen3) or with experts (Mixtral,
// Qwen3-MoE, GPT-OSS), or are a GPT: learned positions, LayerNorm, biases.
//
// What differs without a key in config.json that says so (norms of queries and keys,
// biases, sinks, gated or plain feed-forward) is asked by [Config.HasQKNorm],
// [Config.HasQKVBias], [Config.HasSinks], [Config.IsGated] and their like; what
// differs from layer to layer by [Config.Kind], [Config.LayerWindow], [Config.IsMoE].
// To add a family: a line in families, its keys in the table of fields, what its
// files leave to be known in the dialect, its tensors and its part of the ledger.
//
// # Optimizer classes
//
// [Matrix] marks what Muon trains: every hidden matrix, including mHC fn, router
// gate, indexer and compressor matrices. Embedding, head, norms, mHC base and
// scale, biases, attention sinks, the compressor's position bias (ape) and anything
// with one dimension belong to AdamW. Muon orthogonalises logically independent
// matrices: wo_a is [Tensor.Blocks] row blocks, one per output group, and each of
// w1, w2, w3 of each expert is a matrix of its own. tid2eid and gate.bias are
// [Tensor.Frozen]: no gradient reaches them, a router policy may move the bias.
package arch
