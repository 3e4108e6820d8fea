// Package checkpoint saves the complete state of a training run and loads it
// again, bit for bit, whatever happened in between.
//
// A [Store] is a directory that one process at a time may write. Each save is a
// directory of its own in it:
//
//	LOCK
//	save-000007-step-0000000300/
//	save-000008-step-0000000350/
//	    manifest.json
//	    data-00001-of-00002.safetensors
//	    data-00002-of-00002.safetensors
//
// The number after "save" only grows, so the newest save is the one with the
// highest number, even when a run went back to an earlier step. A save is
// written under a temporary name, fsynced and renamed; only then are old saves
// removed. Killing the process, or the machine, at any moment leaves the previous
// save intact.
//
// # Manifest
//
// manifest.json is one JSON object with two keys, in this order:
//
//	{"sha256": HEX, "manifest": {...}}
//
// where HEX is the SHA-256 of the bytes of the second value, as they stand. That
// value holds the format's name, the step, the run's own data (meta: optimizer
// step counters, data position, random keys, recipe digest) and one entry per
// tensor: name, shape, file and digest. The data files are safetensors, so any
// tool can look into them; all values are float32.
//
// # Digest of a tensor
//
// The values, as little-endian float32, are cut into leaves of 1 MiB. With || for
// concatenation, a leaf's hash is SHA-256(0x00 || bytes) and the tensor's digest is
//
//	SHA-256(0x01 || number of values as 8 bytes little-endian || leaf hashes in order)
//
// so it can be computed in parallel, and does not depend on how the state is cut
// into files or spread over machines. [Digest] combines a list of tensors.
//
// # Loading
//
// [Store.Load] tries the newest save first and verifies every byte. A damaged
// save is named, with the tensor and the reason, and the one before it is tried.
// A save of another model (a tensor missing, extra or of another shape) is never
// skipped: it is an error that names the tensors.
//
// Subpackages: safetensors is the file format, hf the exchange of models with
// other programs.
package checkpoint
