package source

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Line is the text of one row: a line of a JSONL file, or an element of an array.
type Line struct {
	Number int    // line of the file on which it begins, from 1
	Column int    // bytes before it on that line
	Text   string // without the line end
}

// position returns line and column, from 1, of a byte offset in l.Text.
func (l Line) position(offset int) (line, column int) {
	before := l.Text[:min(offset, len(l.Text))]
	if n := strings.Count(before, "\n"); n > 0 {
		return l.Number + n, len(before) - strings.LastIndexByte(before, '\n')
	}
	return l.Number, l.Column + len(before) + 1
}

// splitter cuts a stream into rows.
type splitter interface {
	// next returns the next row; ok is false at the end.
	next() (line Line, ok bool, err error)
}

// newSplitter looks at the first byte that is not space: '[' opens an array of
// rows, anything else is one row a line.
func newSplitter(file string, r *bufio.Reader, most int) (splitter, error) {
	if mark, err := r.Peek(3); err == nil && bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		r.Discard(3) // a byte order mark
	}
	in := &input{file: file, r: r, most: most, line: 1}
	for n := 1; ; n++ {
		head, err := r.Peek(n)
		switch {
		case len(head) < n:
			if err != io.EOF && err != bufio.ErrBufferFull {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			return &lines{in}, nil
		case strings.IndexByte(" \t\r\n", head[n-1]) >= 0:
			continue
		case head[n-1] == '[':
			return &elements{input: in}, nil
		}
		return &lines{in}, nil
	}
}

// input is a stream with its position.
type input struct {
	file   string
	r      *bufio.Reader
	most   int // bytes a row may have
	line   int // line of the next byte, from 1
	column int // bytes before it on that line
}

func (in *input) tooLong(line int) error {
	return &Error{
		File: in.file, Line: line, Rule: fmt.Sprintf("the row is longer than %d bytes", in.most),
		Fix: "check for a missing line end, or raise max_row_bytes",
	}
}

// lines yields the lines of a JSONL file.
type lines struct{ *input }

func (s *lines) next() (Line, bool, error) {
	part, err := s.r.ReadSlice('\n')
	text := string(part)
	if err == bufio.ErrBufferFull {
		var b strings.Builder
		b.WriteString(text)
		for err == bufio.ErrBufferFull {
			part, err = s.r.ReadSlice('\n')
			if b.Len()+len(part) > s.most {
				return Line{}, false, s.tooLong(s.line)
			}
			b.Write(part)
		}
		text = b.String()
	}
	if err != nil && err != io.EOF {
		return Line{}, false, &Error{File: s.file, Line: s.line, Rule: "reading failed: " + err.Error()}
	}
	if text == "" {
		return Line{}, false, nil
	}
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if len(text) > s.most {
		return Line{}, false, s.tooLong(s.line)
	}
	line := Line{Number: s.line, Text: text}
	s.line++
	return line, true, nil
}

// elements yields the elements of one JSON array.
type elements struct {
	*input
	begun, ended bool
}

func (s *elements) fail(format string, args ...any) error {
	return &Error{File: s.file, Line: s.line, Column: s.column + 1, Rule: "not valid JSON: " + fmt.Sprintf(format, args...)}
}

// byte reads one byte and keeps the position of the next; c is 0 at the end.
func (s *elements) byte() (c byte, err error) {
	c, err = s.r.ReadByte()
	if err == io.EOF {
		return 0, nil
	}
	if err != nil {
		return 0, &Error{File: s.file, Line: s.line, Rule: "reading failed: " + err.Error()}
	}
	if c == '\n' {
		s.line, s.column = s.line+1, 0
	} else {
		s.column++
	}
	return c, nil
}

// token returns the next byte that is not space, unread unless it is taken.
func (s *elements) token(take string) (c byte, taken bool, err error) {
	for {
		head, err := s.r.Peek(1)
		if err == io.EOF {
			return 0, false, nil
		}
		if err != nil {
			return 0, false, &Error{File: s.file, Line: s.line, Rule: "reading failed: " + err.Error()}
		}
		space := strings.IndexByte(" \t\r\n", head[0]) >= 0
		if taken = strings.IndexByte(take, head[0]) >= 0; !space && !taken {
			return head[0], false, nil
		}
		if c, err = s.byte(); err != nil || !space {
			return c, true, err
		}
	}
}

func (s *elements) next() (Line, bool, error) {
	if s.ended {
		return Line{}, false, nil
	}
	if !s.begun {
		if _, _, err := s.token("["); err != nil {
			return Line{}, false, err
		}
		s.begun = true
		if _, closed, err := s.token("]"); err != nil || closed {
			return Line{}, false, s.finish(err)
		}
	} else {
		c, taken, err := s.token(",]")
		switch {
		case err != nil:
			return Line{}, false, err
		case c == ']':
			return Line{}, false, s.finish(nil)
		case !taken && c == 0:
			return Line{}, false, s.fail("the file ends within the array of rows")
		case !taken:
			return Line{}, false, s.fail("expected ',' or ']' between rows, got %q", c)
		}
	}
	if _, _, err := s.token(""); err != nil {
		return Line{}, false, err
	}
	return s.element()
}

func (s *elements) finish(err error) error {
	s.ended = true
	if err != nil {
		return err
	}
	if c, _, err := s.token(""); err != nil || c != 0 {
		if err != nil {
			return err
		}
		return s.fail("text after the array of rows")
	}
	return nil
}

// element reads up to the ',' or ']' that ends the element: brackets and
// strings are followed, everything else is left to the parser.
func (s *elements) element() (Line, bool, error) {
	line := Line{Number: s.line, Column: s.column}
	var text []byte
	depth, quoted, escaped := 0, false, false
	for {
		head, err := s.r.Peek(1)
		if err == nil && depth == 0 && !quoted && (head[0] == ',' || head[0] == ']') {
			line.Text = strings.TrimRight(string(text), " \t\r\n")
			return line, true, nil
		}
		c, err := s.byte()
		if err != nil {
			return Line{}, false, err
		}
		if c == 0 {
			return Line{}, false, s.fail("the file ends within a row that begins on line %d", line.Number)
		}
		if text = append(text, c); len(text) > s.most {
			return Line{}, false, s.tooLong(line.Number)
		}
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth <= 0 {
				line.Text = string(text)
				return line, true, nil
			}
		}
	}
}
