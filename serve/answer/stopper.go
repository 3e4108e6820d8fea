package answer

import "strings"

// MaxStop is how many bytes a stop text may have.
const MaxStop = 512

// stopper looks for texts that end an answer, wherever tokens cut them. Of several
// it finds the one that is complete first, and of those the longest.
type stopper struct {
	texts []string
	held  string // the end of the text, which may begin one of them
}

// push adds text and returns what no stop text can take back. With a hit, nothing
// follows.
func (s *stopper) push(text string) (out string, hit bool) {
	if len(s.texts) == 0 {
		return text, false
	}
	text = s.held + text
	start, end := 0, len(text)+1
	for _, stop := range s.texts {
		if i := strings.Index(text, stop); i >= 0 && (i+len(stop) < end || i+len(stop) == end && i < start) {
			start, end = i, i+len(stop)
		}
	}
	if end <= len(text) {
		s.held = ""
		return text[:start], true
	}
	keep := 0
	for _, stop := range s.texts {
		for n := min(len(text), len(stop)-1); n > keep; n-- {
			if text[len(text)-n:] == stop[:n] {
				keep = n
			}
		}
	}
	s.held = text[len(text)-keep:]
	return text[:len(text)-keep], false
}

// flush returns what is held.
func (s *stopper) flush() string {
	out := s.held
	s.held = ""
	return out
}
