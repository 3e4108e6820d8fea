// Package corpus reads the texts that a vocabulary is trained on.
//
// A file is one text, whatever its lines; of a .jsonl file each string value of each row is a text, in
// the order of the row, or only those of the fields asked for. .gz behind either is unpacked; "-" is the
// standard input, one text. Bytes that are not UTF-8 are refused with their place: a vocabulary should
// not learn damage.
package corpus

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// MaxLine is the longest line of a .jsonl file.
const MaxLine = 64 << 20

// A Reader goes through files once. Check Err when the texts end.
type Reader struct {
	Files  []string
	Fields []string  // keys of .jsonl rows, at any depth, whose values are texts; none means all
	Stdin  io.Reader // read for the file "-"

	texts int
	bytes int64
	err   error
}

// Texts yields the texts of all files and stops at the first error.
func (r *Reader) Texts() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, name := range r.Files {
			if !r.file(name, yield) {
				return
			}
		}
	}
}

// Err returns the error that ended Texts, if one did.
func (r *Reader) Err() error { return r.err }

// Count returns how many texts and bytes have been yielded.
func (r *Reader) Count() (texts int, bytes int64) { return r.texts, r.bytes }

func (r *Reader) fail(format string, args ...any) bool {
	r.err = fmt.Errorf("corpus: "+format, args...)
	return false
}

// file yields the texts of one file and reports whether to go on.
func (r *Reader) file(name string, yield func(string) bool) bool {
	in := r.Stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return r.fail("%w", err)
		}
		defer f.Close()
		in = f
	}
	plain, packed := strings.CutSuffix(name, ".gz")
	if packed {
		z, err := gzip.NewReader(in)
		if err != nil {
			return r.fail("%s: %w", name, err)
		}
		in = z
	}
	if strings.HasSuffix(plain, ".jsonl") {
		return r.rows(name, in, yield)
	}
	data, err := io.ReadAll(in)
	if err != nil {
		return r.fail("%s: %w", name, err)
	}
	text := string(data)
	if at := invalid(text); at >= 0 {
		return r.fail("%s: byte %d (line %d) is not UTF-8", name, at, 1+strings.Count(text[:at], "\n"))
	}
	return r.yield(text, yield)
}

func (r *Reader) yield(text string, yield func(string) bool) bool {
	if text == "" {
		return true
	}
	r.texts++
	r.bytes += int64(len(text))
	return yield(text)
}

// rows yields the string values of a .jsonl file.
func (r *Reader) rows(name string, in io.Reader, yield func(string) bool) bool {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, MaxLine)
	n := 0
	for lines.Scan() {
		n++
		line := lines.Text()
		if strings.TrimSpace(line) == "" {
			continue
		}
		v, err := jsonvalue.Parse(line)
		if err != nil {
			return r.fail("%s line %d: %w", name, n, err)
		}
		if v.Kind != jsonvalue.Object {
			return r.fail("%s line %d: a row is an object, got %s", name, n, v.Kind)
		}
		before := r.texts
		if !r.values(&v, len(r.Fields) == 0, yield) {
			return false
		}
		if r.texts == before && len(r.Fields) > 0 {
			return r.fail("%s line %d: no text under %s", name, n, strings.Join(r.Fields, ", "))
		}
	}
	if err := lines.Err(); err != nil {
		return r.fail("%s line %d: %w", name, n+1, err)
	}
	return true
}

// values yields the strings in v: all of them when wanted, else those below a wanted key.
func (r *Reader) values(v *jsonvalue.Value, wanted bool, yield func(string) bool) bool {
	switch v.Kind {
	case jsonvalue.String:
		return !wanted || r.yield(v.Text, yield)
	case jsonvalue.Array:
		for i := range v.Items {
			if !r.values(&v.Items[i], wanted, yield) {
				return false
			}
		}
	case jsonvalue.Object:
		for i := range v.Members {
			m := &v.Members[i]
			if !r.values(&m.Value, wanted || slices.Contains(r.Fields, m.Key), yield) {
				return false
			}
		}
	}
	return true
}

// invalid returns the position of the first byte that is not UTF-8, or -1.
func invalid(s string) int {
	if utf8.ValidString(s) {
		return -1
	}
	for i := 0; i < len(s); {
		r, w := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && w == 1 {
			return i
		}
		i += w
	}
	return -1
}
