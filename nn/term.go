package nn

import "math"

// termUnit is 2^-28 nats, finer than the float32 rounding of a loss near 1.
const termUnit = 0x1p-28

// Term rounds one term of a reported sum to a multiple of 2^-28. Such terms add
// up without rounding as long as sums stay below 2^25, so a sum of losses does
// not depend on the order or the grouping of its terms: one micro-batch or many,
// one rank or many, the report has the same bits. NaN and infinities pass.
func Term(x float64) float64 { return math.RoundToEven(x/termUnit) * termUnit }
