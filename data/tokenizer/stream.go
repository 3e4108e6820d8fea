package tokenizer

// A Stream decodes ids one at a time and never splits a character: text comes out as soon as its
// characters are complete. The zero Stream is not usable; NewStream makes one. It is for one goroutine.
type Stream struct {
	t       *Tokenizer
	pending []byte // the beginning of a character
	strip   int    // how many more characters may be dropped from the start
}

// NewStream returns a decoder of one sequence.
func (t *Tokenizer) NewStream() *Stream {
	return &Stream{t: t, strip: t.decoder.stripMost}
}

// Push adds id and returns the text that it completes, often "" within a character.
func (s *Stream) Push(id int32) string {
	if id < 0 || int(id) >= len(s.t.pieces) {
		return ""
	}
	s.pending = append(s.pending, s.t.pieces[id].text...)
	for s.strip > 0 && len(s.pending) >= len(s.t.decoder.strip) {
		if n := len(s.t.decoder.strip); string(s.pending[:n]) == s.t.decoder.strip {
			s.pending = s.pending[n:]
			s.strip--
		} else {
			s.strip = 0
		}
	}
	keep := 0
	for back := 1; back <= 3 && back <= len(s.pending); back++ {
		if tail := s.pending[len(s.pending)-back:]; partial(tail) == back {
			keep = back
			break
		}
	}
	text := toValid(s.pending[:len(s.pending)-keep])
	s.pending = append(s.pending[:0], s.pending[len(s.pending)-keep:]...)
	return text
}

// Flush ends the sequence and returns what is left, an incomplete character as U+FFFD.
func (s *Stream) Flush() string {
	text := toValid(s.pending)
	s.pending, s.strip = s.pending[:0], s.t.decoder.stripMost
	return text
}
