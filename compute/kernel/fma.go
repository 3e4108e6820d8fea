package kernel

import "github.com/temper-ml/temper/compute/internal/asm"

// FMA32 returns x*y + z rounded once, exactly as the hardware's float32 fused
// multiply-add, in plain Go. It is the one place where fusing is meant; every
// other product that is added to something is wrapped in an explicit float32
// conversion so that no compiler fuses it.
func FMA32(x, y, z float32) float32 { return asm.FMA32(x, y, z) }
