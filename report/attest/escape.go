package attest

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxText is how many characters of a text a card shows.
const maxText = 300

// visible replaces what does not show, or shows as something else (controls,
// line ends, marks of direction), by its number, and cuts what is too long.
func visible(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > maxText {
			fmt.Fprintf(&b, "… (%d characters)", utf8.RuneCountInString(s))
			break
		}
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "{U+%04X}", r)
		}
	}
	return b.String()
}

// markdown escapes text for any place of a paragraph or a cell of a table: no
// character of it is markup, neither of Markdown nor of HTML, and no name in it
// becomes a link.
func markdown(s string) string {
	var b strings.Builder
	for _, r := range visible(s) {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r < utf8.RuneSelf && !alphanumeric(r) && !strings.ContainsRune(harmless, r):
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// harmless are the marks that are no markup within a line. Dots, colons, slashes
// and at-signs are not among them: readers make links of what they join.
const harmless = " ,-%?;'()"

func alphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

// code is a text of letters, digits and -_.:/+=@ as code, any other escaped as
// text: in code nothing can be escaped.
func code(s string) string {
	for _, r := range s {
		if !alphanumeric(r) && !strings.ContainsRune("-_.:/+=@", r) {
			return markdown(s)
		}
	}
	if s == "" || len(s) > maxText {
		return markdown(s)
	}
	return "`" + s + "`"
}

// fenced is a text as a block of code whose fence does not occur in it. Lines
// stay lines; other characters that do not show are replaced.
func fenced(language, s string) string {
	var b strings.Builder
	run, longest := 0, 2
	for _, r := range s {
		run++
		if r != '`' {
			run = 0
		}
		longest = max(longest, run)
		if strconv.IsPrint(r) || r == '\n' || r == '\t' {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "{U+%04X}", r)
		}
	}
	fence := strings.Repeat("`", longest+1)
	return fence + language + "\n" + strings.TrimRight(b.String(), "\n") + "\n" + fence + "\n"
}

// yamlString is a text as a double-quoted scalar. Go's escapes are among YAML's.
func yamlString(s string) string { return strconv.Quote(s) }
