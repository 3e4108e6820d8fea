// Package chat turns conversations into the exact text a model is trained on,
// and completions back into messages.
//
// An Encoding knows one model family's layout. It renders a conversation into
// Pieces: runs of text, each tagged either as one special token (by name) or as
// plain text. Plain text is tokenised without looking for special tokens, so
// nothing a user, a tool or a data set writes can open a turn, close the
// reasoning or end the sequence: only the encoding can.
//
// Each piece also says which part of the conversation it is (Part). What the
// model itself would have produced (reasoning, content, tool calls, end of
// turn) is generated; everything else is given. Loss masks follow from that:
// they are defined by rendering prefixes (see package data), the parts make the
// same answer cheap.
//
// The encodings are
//
//   - deepseek-v4: DeepSeek-V4, preview checkpoints (see V4);
//   - deepseek-v4-0731: the same with the three reasoning efforts of the
//     checkpoints from V4-Flash-0731 on;
//   - deepseek-v3: DeepSeek-V3 and R1, without tools (see V3);
//   - plain: no roles at all, for base models and tests (see Plain).
package chat
