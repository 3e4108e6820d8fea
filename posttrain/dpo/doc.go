// Package dpo computes the losses of preference learning: direct preference
// optimisation and its family, on the log-probabilities of whole answers.
//
//	s_w, s_l   log π(answer) - log π_ref(answer) of the preferred and the other
//	           answer, summed over tokens
//	Δ          s_w - s_l
//
//	sigmoid    -log σ(βΔ)                                    Rafailov et al. 2023, eq. 7
//	cdpo       -(1-ε) log σ(βΔ) - ε log σ(-βΔ)               Mitchell 2023
//	robust     [-(1-ε) log σ(βΔ) + ε log σ(-βΔ)] / (1-2ε)    Chowdhury et al. 2024
//	hinge      max(0, 1 - βΔ)                                Zhao et al. 2023
//	ipo        (s_w/|y_w| - s_l/|y_l| - 1/(2β))²             Azar et al. 2023, by length as its authors do
//	norm       -log σ(β (s_w/|y_w| - s_l/|y_l|))
//	simpo      -log σ(β (l_w/|y_w| - l_l/|y_l|) - γ)         Meng et al. 2024; l without a reference
//	apo-zero   (1 - σ(βs_w)) + σ(βs_l)                       D'Oosterlinck et al. 2024
//	kto        λ_D (1 - σ(β(s-z))) or λ_U (1 - σ(β(z-s)))    Ethayarajh et al. 2024, eq. 8
//
// To each an SFT term may be added: the mean negative log-probability of a token
// of the preferred answer, times a weight.
//
// A step's loss is the mean over the pairs of the whole step, never of a
// micro-batch. All arithmetic is float64 with functions of package portable: the
// same bits on every machine.
package dpo
