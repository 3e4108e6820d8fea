// Package campaign predicts a whole post-training run: which phases, how many
// steps and tokens, how long on a cluster that fails now and then, how much
// energy and money, and how much that is of the pre-training.
//
// A Workload is a list of phases, each a method with its budget:
//
//	cpt    continued pre-training on so many tokens
//	sft    instruction tuning: samples of a mean length, packed into rows or padded
//	dpo    preference pairs; the reference model reads each pair once, before
//	grpo   reinforcement learning: every step generates, scores, and trains
//	opd    on-policy distillation: the student generates, teachers read, it trains
//
// How long one training step takes is asked of a Trainer, the planner behind it;
// generation is cluster/campaign/rollout's; what failures, hangs, checkpoints
// and recovery make of the undisturbed time is cluster/campaign/goodput's. The
// built-in workloads (cpt, sft, dpo, grpo, opd, posttrain) have the published budgets
// of DeepSeek's models, with what had to be assumed said in their sources.
//
//	workload.go, rules.go   what a run is, as read from YAML; builtin.go has some
//	phase.go, generate.go   how long a step and a phase take, undisturbed
//	recovery.go, checkpoint.go   failures and what answers them
//	finish.go               the distribution of the end, predictions' errors included
//	option.go               what would make the run shorter
//	days.go                 days of one training step, for simulators
//	explain.go              all of it in words
package campaign
