package operator

import "github.com/temper-ml/temper/model/arch"

// gqa is the kind of plain causal attention with groups of key/value heads.
const gqa = arch.MLA + 1

// gated reports whether the feed-forward block has three matrices (SwiGLU) or two.
func gated(c *arch.Config) bool { return true }

// biased reports whether norms and products have biases.
func biased(c *arch.Config) bool { return false }
