// Package kernel computes: matrix products, elementwise and row operations,
// attention, the optimizer's update. Functions work over slices and small
// views of them (Mat), never allocate results, and write outputs first:
// dst before src, gradients named dx for the gradient of x, sizes last.
//
// # Canonical arithmetic
//
// Every function defines each number it returns down to the last bit,
// independently of the instruction set, of the number of threads and of how a
// batch is cut into calls. docs/arithmetic.md has the whole definition; in
// short:
//
//   - a matrix product's element is one chain of float32 fused multiply-adds
//     over the contraction index ascending (see Product);
//   - a row reduction runs in 16 virtual lanes that are combined by a fixed tree;
//   - a sum over tokens into a parameter's gradient is one chain over tokens
//     ascending;
//   - exp, log and their kin are this package's own polynomials, evaluated by
//     the same sequence of operations everywhere.
//
// Path names the instruction set in use, Parallel and SetThreads govern the
// threads; neither changes a bit. NaN payloads are the one exception: that a
// result is NaN is canonical, which NaN is not.
//
// # Shapes
//
// Matrices are row-major. In comments: T tokens (rows), D model width, F
// hidden width of an expert, E experts, H heads, V vocabulary; m, n index the
// rows and columns of a product's output and k its contraction.
package kernel
