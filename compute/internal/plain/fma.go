package plain

import "github.com/temper-ml/temper/compute/internal/asm"

// FMA32 returns x*y + z rounded once.
func FMA32(x, y, z float32) float32 { return asm.FMA32(x, y, z) }
