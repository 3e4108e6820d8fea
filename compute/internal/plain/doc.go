// Package plain is the definition of temper's row arithmetic: every loop here
// is the reference that the assembly of compute/internal/asm must equal bit
// for bit, and what runs where there is no assembly.
//
// The functions work on one contiguous piece of work (a flat range, or one
// row) and never start threads; compute/kernel checks shapes, splits rows over
// threads and picks the instruction set.
//
// # How to read a loop
//
// Three rules make a loop mean the same number on every machine:
//
//   - FMA32(x, y, z) is x*y+z rounded once. Where a product must be rounded by
//     itself it is written float32(x*y), so that no compiler may fuse it.
//   - A row reduction has sixteen lanes: lane l takes the elements i with
//     i mod 16 = l, ascending, each lane a chain from +0; the row is thought
//     padded with +0 to a multiple of sixteen; [tree] then adds lanes l+8,
//     l+4, l+2, l+1. Any register width can do that.
//   - A minimum or maximum is written as the comparison that the vector units
//     make: "a > b ? a : b", which yields b when either is a NaN.
//
// A NaN's sign and payload are not part of the definition: processors differ
// in them, so results are compared with all NaNs equal.
//
// # Shapes
//
// T tokens, D model dimension, S = 4 residual streams, V vocabulary, F hidden
// dimension of an expert.
package plain
