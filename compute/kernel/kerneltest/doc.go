// Package kerneltest is the conformance suite of package kernel: what every
// path (instruction set) and every number of threads must agree on, bit for
// bit, and the tools to say so.
//
// A test of a kernel has three parts, each with help from here:
//
//   - inputs that are the same on every machine and reach the edges: Values;
//   - buffers that notice a stray access: Guarded, GuardedMat;
//   - every setting in turn, against a plain loop: EachSetting, SameBits, and
//     against all other machines: Digest.
package kerneltest
