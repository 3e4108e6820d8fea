// Package generate continues token sequences with a model of package deepseek:
// for rollouts, evaluation, chat and serving.
//
// # Canonical results
//
// A sampled token depends on the model, the tokens before it, and its
// [Sampling]; never on what else is generated at the time, on how prompts were
// cut into chunks, on threads or instruction sets. Its log-probability has the
// bits that [deepseek.Model.LogProbs] and a training step compute for the same
// tokens.
//
// Random numbers are keyed by (Seed, Prompt, Sample) and the token's position in
// the sequence, prompt included. So a sequence that was interrupted continues as
// if it had not been: submit prompt and answer so far as a prompt.
package generate
