// Package dtype names the number formats in which tensors are stored and
// converts between them and float32. A [DType] is spelled as in a safetensors
// header ("BF16", "F8_E4M3").
//
// Formats, with s a sign bit, e exponent bits and m mantissa bits:
//
//	BF16   s1 e8 m7   bias 127  the upper half of a float32
//	F16    s1 e5 m10  bias 15   IEEE half, read only
//	E4M3   s1 e4 m3   bias 7    the "FN" variant: no infinities; S.1111.111 is
//	                            NaN, so the largest value is 448
//	E8M0   e8         bias 127  a power of two, 2^(e-127); 255 is NaN
//	E2M1   s1 e2 m1   bias 1    0, .5, 1, 1.5, 2, 3, 4, 6 and their negatives
//
// Conversions to a shorter format round to nearest, ties to even. Values
// beyond the largest of E4M3 or E2M1 saturate to it, infinities included, as
// quantisation clamps. A NaN becomes a quiet NaN where the format has one.
//
// FP8 tensors are E4M3 with one scale a block of 128x128 elements (E8M0, or
// float32 in older checkpoints); FP4 tensors are E2M1, two a byte, the even
// column in the low nibble, with one E8M0 scale each 32 columns of a row.
package dtype
