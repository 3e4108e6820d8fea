// Package grpo computes group relative policy optimisation and its variants: the
// advantages of a group of sampled answers and the loss of each answer's tokens.
//
// Three policies occur. μ sampled the answers; π_old is the policy at the start
// of the update; π is being updated. Their log-probabilities of the sampled
// tokens are the input. In temper μ and π_old are the same bits when the answers
// were sampled by the current weights, and π too in the first update: then every
// ratio is exactly 1, and anything else is an error that must be reported
// ([Config.OnPolicy]).
//
//	ρ_t   exp(log π - log π_old), the token's ratio
//	s     exp(mean over tokens of log π - log π_old), the sequence's (GSPO)
//
//	clip     -min(ρA, clip(ρ, 1-ε_low, 1+ε_high) A)        Shao et al. 2024; DAPO's clip-higher
//	         and at most c|A| where A < 0 (dual clip, Ye et al. 2020)
//	cispo    -sg[clip(ρ, 1-ε_low, 1+ε_high)] A log π        MiniMax 2025
//
// with ρ replaced by s for sequence ratios (Zheng et al. 2025). Token losses are
// summed over the whole optimizer step and divided by a number that is known
// before its first gradient: see [Config.Aggregate].
//
// Added terms: a divergence from a reference policy ([KL]), weights that correct
// for μ ≠ π_old ([Correction]), a mask for off-policy sequences. All arithmetic
// is float64 with functions of package portable: the same bits everywhere.
package grpo
