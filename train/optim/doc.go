// Package optim updates parameters: AdamW, Muon as DeepSeek-V4 uses it,
// learning-rate schedules and the global gradient norm.
//
// Which rule a parameter gets is the model's knowledge (arch.Tensor.Optim),
// handed over in Param. With Config.Name "muon", matrices take Muon and all
// others AdamW; with "adamw" everything takes AdamW.
//
// Every update is a pure function of (parameters, gradients, state, step), in
// canonical arithmetic: the same bits on any number of threads and any
// instruction set. State, including the step counter, is plain slices that
// train/checkpoint saves and restores by name.
package optim
