// Package tokenizer turns text into token ids and back, exactly as Hugging Face tokenizers does for
// byte-level BPE, reads and writes its tokenizer.json, and trains new vocabularies.
//
// A tokenizer.json describes five steps, and Parse compiles them into a Tokenizer:
//
//	added tokens    strings such as <think> that are one token wherever they stand
//	normalizer      rewrites the text between them (Unicode normal forms, replacements)
//	pre-tokenizer   cuts it into pieces that merges never cross (package pretoken)
//	model           merges the bytes of each piece by rank (package bpe)
//	post-processor  puts tokens such as a beginning-of-sequence around the whole (Affixes)
//
// and one decoder for the way back. A step of a kind that byte-level BPE tokenizers do not use is an
// error that names it; nothing is skipped silently. Truncation and padding are kept in the file but
// never applied: row length belongs to the packer.
//
// # Control tokens in user text
//
// Text from users must not be able to forge a turn or an end of sequence, so Encode takes added tokens
// for what they are only when allowSpecial is set (for templates written by the program); otherwise
// their letters are encoded like any other. The flag "special" in the file is not enough to decide this,
// as published files leave it off for <think> or <｜User｜>: a control token is an added token that is
// marked special or contains any punctuation or symbol. Added words and runs of blanks stay tokens always.
//
// # Example
//
//	t, err := tokenizer.Load("model/tokenizer.json")
//	ids := t.Encode("How many legs has a spider?", false)
//	text := t.Decode(ids)
package tokenizer
