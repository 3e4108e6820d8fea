// Package safetensors reads and writes tensors in the safetensors format, one
// file or a directory of shards, without ever holding a file in memory.
//
// # The format
//
// A file is
//
//	8 bytes   N, the length of the header, unsigned little-endian
//	N bytes   the header: a JSON object, padded with spaces
//	the rest  the data of all tensors, back to back
//
// The header maps each tensor's name to its dtype, its shape and the two offsets
// [begin, end) of its bytes, counted from the first byte after the header. The
// key __metadata__ may map strings to strings. Values are little-endian, in
// row-major order. For example, a vector of two float32 (1 and 2):
//
//	3f 00 00 00 00 00 00 00
//	{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}·········
//	00 00 80 3f 00 00 00 40
//
// A reader must accept nothing else, because files come from strangers:
// the header is at most [MaxHeader] bytes and ends within the file; it is valid
// UTF-8, an object, with no key twice; each entry has exactly the three keys;
// the dtype is known; shape times dtype is exactly end - begin, without overflow;
// the tensors cover the data without hole, overlap or rest. Anything else is an
// error that names the file and the tensor.
//
// # Shards
//
// A model in several files has model.safetensors.index.json beside them, whose
// weight_map gives the file of each tensor. [OpenDir] reads it, or the single
// model.safetensors, and holds index and files to each other: a tensor that one
// of them lacks, or that two files have, is an error.
//
// Packed FP4 has no dtype of its own: two values share an I8, low nibble first.
package safetensors
