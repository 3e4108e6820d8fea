// Package digest gives the state of a training run 32 bytes that anyone can
// check: its parameters, its optimizer's state, its batches.
//
// A digest depends on names and bits only, never on who computes it: ranks that
// hold parts of a tensor [State.Add] what they have, in any order and on any
// number of threads, and [State.Merge] brings their states together.
//
// # Definition
//
// A [Layout] is a list of tensors, each with a name, a type and a size, sorted
// by name, and a period k. Every tensor is cut into blocks of [Block] values; its
// last block may be shorter. Blocks are numbered through the whole list. The
// state after step s covers the blocks whose number is s modulo k, so any k
// steps in a row cover every bit once, and k = 1 covers all of it at each step.
//
//	block(b)  = SHA-256(values of b, each 4 bytes, little-endian)
//	tensor(t) = SHA-256("temper-tensor/1\n", block(b) for each covered b of t in order)
//	state     = SHA-256("temper-state/1\n", k, s mod k, number of tensors,
//	            for each tensor: length of its name, name, "F32" or "I32", size, tensor(t))
//
// Numbers are 8 bytes, little-endian. Values are hashed as they are: -0 is not
// 0, and every NaN is its own.
//
// # What it withstands
//
// There is no key and nothing to keep secret. Two states of the same layout and
// step with one digest differ in no covered bit, or show two inputs of SHA-256
// with the same hash. That is why blocks are listed and not added up: a sum
// of hashes modulo 2^512 is forged in practice when its maker may choose many
// blocks (Wagner's generalised birthday), and a polynomial hash by anyone who
// knows its key. docs/digests.md has the argument, its limits and the cost.
package digest
