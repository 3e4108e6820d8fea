// Package hf reads and writes models as Hugging Face directories: config.json,
// safetensors shards, tokenizer files. Nothing here holds a whole model: tensors
// move in chunks of rows, converted in parallel.
//
// [Open] checks a directory before any data is read: every parameter of the
// architecture is there with the right shape, under the names of one [Style],
// and nothing is left over. [Source.Load] then fills slices that the caller
// provides, float32 whatever the files hold:
//
//   - F64, F32, F16 and BF16 are converted value by value;
//   - F8_E4M3 is multiplied by its scale (E8M0 or F32, one per block of 128x128,
//     called NAME.scale or NAME.weight_scale_inv);
//   - I8 holds two FP4 values per byte, scaled per 32 columns by E8M0;
//   - the integers of tid2eid become floats, exactly.
//
// [Write] is the way back, in BF16 or float32, under the DeepSeek names or those
// of the transformers library, which fuses the experts of a layer:
// experts.gate_up_proj is [E, 2f, d], each expert's w1 above its w3, and
// experts.down_proj is [E, d, f]. Files in published names load into transformers
// too (it renames as it reads); what its save_pretrained writes is read here. Tensors that are published in float32 (mHC,
// sinks, ape, routing bias) stay float32. The directory appears under its name
// when it is complete, and not before.
//
// Some checkpoints repeat shared tensors in their MTP block, or carry buffers
// that follow from the configuration; those are ignored ([ignorable]). A
// checkpoint without any MTP tensor is read as a model without MTP, and
// [Source.Notes] says so.
package hf
