// Package posttrain makes the material of a stage: what its method trains on,
// what it holds out, and in which order steps take it.
//
// Continued pre-training (cpt) reads plain text and learns every token;
// instruction tuning (sft) reads conversations and learns what the assistant
// says. Both have the same objective, the token mean of the cross-entropy over
// the whole optimizer step, so the difference is all in the material. Preference
// optimisation (dpo) reads pairs of answers, of which a row always has both sides
// as neighbours; its objective is that of package preference. Stages that learn from
// the model's own answers read their data as questions ([Data.Questions]).
package posttrain
