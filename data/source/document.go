package source

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// documents yields the documents of a plain text file: the whole file, or what
// stands between separators. Documents of nothing but white space are left out.
type documents struct {
	*input
	separator string
	buf       []byte // read, not yet yielded
	searched  int    // bytes of buf known to hold no separator
	ended     bool
}

func (s *documents) next() (Line, bool, error) {
	for {
		doc, ok, err := s.document()
		if err != nil || !ok {
			return Line{}, false, err
		}
		line := Line{Number: s.line, Text: doc}
		s.line += strings.Count(doc, "\n")
		if !s.ended || s.buf != nil {
			s.line += strings.Count(s.separator, "\n")
		}
		if strings.TrimSpace(doc) != "" {
			return line, true, nil
		}
	}
}

// document returns the text before the next separator, or the rest.
func (s *documents) document() (string, bool, error) {
	for {
		if s.separator != "" {
			from := max(0, s.searched-len(s.separator)+1)
			if i := bytes.Index(s.buf[from:], []byte(s.separator)); i >= 0 {
				doc := string(s.buf[:from+i])
				s.buf, s.searched = s.buf[from+i+len(s.separator):], 0
				return doc, true, nil
			}
			s.searched = len(s.buf)
		}
		if s.ended {
			doc, ok := string(s.buf), s.buf != nil
			s.searched = 0
			s.buf = nil
			return doc, ok, nil
		}
		if len(s.buf) > s.most {
			return "", false, &Error{
				File: s.file, Line: s.line, Rule: fmt.Sprintf("the document is longer than %d bytes", s.most),
				Fix: "give a separator that cuts it, or raise max_row_bytes",
			}
		}
		if err := s.fill(); err != nil {
			return "", false, err
		}
	}
}

func (s *documents) fill() error {
	var chunk [64 << 10]byte
	n, err := s.r.Read(chunk[:])
	s.buf = append(s.buf, chunk[:n]...)
	if err == io.EOF {
		s.ended = true
		return nil
	}
	if err != nil {
		return &Error{File: s.file, Line: s.line, Rule: "reading failed: " + err.Error()}
	}
	return nil
}

// plainText checks a document and makes it a row.
func plainText(line Line) (Row, error) {
	if !utf8.ValidString(line.Text) {
		at := 0
		for at < len(line.Text) {
			r, n := utf8.DecodeRuneInString(line.Text[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return Row{}, &ruleError{offset: at, rule: "invalid UTF-8", fix: "convert the file to UTF-8"}
	}
	return Row{Kind: Text, Text: line.Text, Line: line.Number}, nil
}
