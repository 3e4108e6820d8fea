// Package deepseek builds the models of the DeepSeek family, V4 and V3, from the
// layers of package nn, and runs them: loss and gradients of a micro-batch, or
// the log-probabilities of its labels.
//
// A [Model] is made from an architecture ([arch.Config]); its parameters are
// listed, in the architecture's order, by [Model.Params], each with its values
// and its gradient accumulator. One training step of a caller is
//
//	for _, b := range microBatches {
//		losses, err := m.TrainStep(b, options) // adds to the gradients
//	}
//	optimizer.Step(m.Params())                 // uses and clears them
//
// # What is computed
//
// V4 keeps four residual streams per token. Every block mixes them down to one
// vector, normalises it, attends (window, window and indexed compressed keys, or
// window and all compressed keys, by layer), mixes the result back; then the same
// with a mixture of experts. After the last block the streams are mixed down,
// normalised and projected to logits. V3 has one stream, latent attention, and
// dense feed-forward networks in its first layers. Multi-token-prediction blocks
// follow the trunk: block i joins the trunk's final streams with the embedding of
// the next token and predicts the one after it.
//
// # Canonical results
//
// The gradients that a step accumulates have the same bits however its rows are
// split into micro-batches or packed as segments (in the same order), with any
// number of threads, any instruction set, and any [Recompute] choice. Reported
// loss sums are order-independent: see [nn.Term].
//
// A micro-batch is processed in memory taken from one arena, sized by the first
// step; [PlanStep] predicts it.
package deepseek
