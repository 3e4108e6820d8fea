package tokenizer

// Encode returns the ids of text. With allowSpecial, added tokens in the text become their ids; without,
// control tokens are encoded letter by letter (see the package comment). No token is put before or
// after; Affixes has those.
func (t *Tokenizer) Encode(text string, allowSpecial bool) []int32 {
	return t.AppendEncode(make([]int32, 0, len(text)/4+4), text, allowSpecial)
}

// AppendEncode is Encode appending to dst. With room in dst and words seen before it allocates nothing.
func (t *Tokenizer) AppendEncode(dst []int32, text string, allowSpecial bool) []int32 {
	m := &t.ordinary
	if allowSpecial {
		m = &t.all
	}
	for w := (walk{m: m.raw, text: text}); ; {
		gap, a := w.next()
		if gap != "" {
			dst = t.appendBetween(dst, gap, m)
		}
		if a == nil {
			return dst
		}
		dst = append(dst, a.ID)
	}
}

// appendBetween encodes text that holds no raw added token.
func (t *Tokenizer) appendBetween(dst []int32, text string, m *matchers) []int32 {
	if t.normalize != nil {
		text = t.normalize(text)
	}
	for w := (walk{m: m.normalized, text: text}); ; {
		gap, a := w.next()
		dst = t.appendPieces(dst, gap)
		if a == nil {
			return dst
		}
		dst = append(dst, a.ID)
	}
}

// appendPieces cuts text, which holds no added token, and merges the pieces.
func (t *Tokenizer) appendPieces(dst []int32, text string) []int32 {
	if !t.pipeline.Scanned() {
		for _, piece := range t.pipeline.Split(nil, text) {
			dst = t.bpe.AppendWord(dst, piece)
		}
		return dst
	}
	for pos, limit := 0, 0; pos < len(text); {
		start := pos
		pos, limit = t.pipeline.Next(text, pos, limit)
		dst = t.bpe.AppendWord(dst, text[start:pos])
	}
	return dst
}

// Pieces returns what the pre-tokenizer makes of text, normalized first; added tokens are not looked for.
func (t *Tokenizer) Pieces(text string) []string {
	if t.normalize != nil {
		text = t.normalize(text)
	}
	return t.pipeline.Split(nil, text)
}
