// Package journal is the file of a round of answers: a log to which every pass of the
// model appends the tokens it made, so that a process that is killed loses none.
//
// # Format
//
// Integers are little-endian; varint is the unsigned one of encoding/binary.
//
//	file    "temper-rollout/1\n", header, CRC-32C of both (4 bytes), frames
//	header  digests of configuration, questions and policy (32 bytes each), seed,
//	        number of the round, its first cursor (8 each), questions asked in a wave,
//	        answers to each, tokens of an answer, waves (4 each): the most there may be
//	frame   length of the payload (4), kind (1), payload, checksum (4)
//
// A checksum is the CRC-32C of the file's own checksum, the frame's offset in the file
// (8 bytes) and the frame before it. So a frame is valid in one place of one file.
//
//	Q  a question: varints of its number among those asked and of its index among those
//	   there are, 1 if the answer is to think (1), the place it comes from, a text with
//	   the varint of its length before it, varints of its tokens. It is for readers
//	   who have only the file: what is asked follows from the cursor
//	T  tokens that a pass made: for each answer that got some, ascending, the varint of
//	   its distance from the one before it; varint of 16 x number of tokens + 2 x reason
//	   of its end (0: it goes on) + 1 if log-probabilities differ from those under which
//	   tokens were drawn; for each token varint of its id, the bits of its
//	   log-probability (4) and, if they differ, of the other (4)
//	V  verdict on an answer: varint of the answer, 1 if it failed (1), bits of the total
//	   (8), varint of the number of rules; of each rule its name, bits of weight and
//	   value (8 each), reason and error, texts with the varint of their length before
//	A  an array: varint of the answer, which one (1), numbers for all tokens (4 each)
//	R  routes of an answer, before its end: varint of the answer, and their compact form
//	M  mark: the file up to this size (8) is on the disk
//	S  seal: questions asked (8), the round's digest (32). The file up to the frame
//	   is on the disk. Nothing follows.
//
// # Crashes
//
// Every pass is one write of one frame. A process that dies loses what it was writing;
// a machine that dies loses what was written since the last mark, or something of it.
// Neither leaves anything but answers that are shorter than they were, and those are
// continued to the same tokens. So what follows the last whole frame is dropped if no
// mark says that it was on the disk; if one does, the disk lost or changed what it had
// acknowledged, and the file is refused with the offset of the damage.
package journal
