package render

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"strings"
)

//go:embed page.tmpl
var pageText string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("page").Parse(pageText))

// pageData is what the template is filled with.
type pageData struct {
	Title     string
	Style     template.CSS
	StyleHash string
	Verdicts  []verdictLine
	Sections  []section
}

type verdictLine struct{ Class, Run, Result, Text string }

// section is a heading, a sentence, and figures and tables.
type section struct {
	ID, Title, Intro string
	Parts            []part
}

type part struct {
	SVG    template.HTML // of package figure, which escapes its texts
	Table  *table
	Folded bool // the table repeats the figure in numbers
	Text   *textPart
}

type textPart struct{ Summary, Body string }

type table struct {
	Caption string
	Head    []string
	Rows    [][]string
}

// notRecorded stands where a run is silent.
const notRecorded = "not recorded"

// HTML writes a page about one run, or several side by side. It needs nothing
// but itself: no script, no address, and a policy that forbids both.
func HTML(w io.Writer, runs ...*Run) error {
	if len(runs) == 0 {
		return errors.New("a report needs at least one run")
	}
	hash := sha256.Sum256([]byte(pageStyle))
	d := pageData{
		Style:     template.CSS(pageStyle),
		StyleHash: base64.StdEncoding.EncodeToString(hash[:]),
	}
	v := newView(runs)
	d.Title = "Run " + strings.Join(v.names, ", ")
	if len(runs) > 1 {
		d.Title = "Runs " + strings.Join(v.names, ", ")
	}
	for i, r := range runs {
		d.Verdicts = append(d.Verdicts, verdictOf(v.names[i], r.Verdict))
	}
	d.Sections = v.sections()
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(bytes.Map(printable, b.Bytes()))
	return err
}

// printable replaces what no page may hold: control characters, and bytes that
// are not UTF-8.
func printable(r rune) rune {
	if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f {
		return '\uFFFD'
	}
	return r
}

// noVerdict is said of a run that nobody verified.
const noVerdict = "Nobody has checked these numbers; they are what the run says of itself."

// verdictOf is how a verification is told; without one nothing is claimed.
func verdictOf(run string, v *Verdict) verdictLine {
	if v == nil {
		return verdictLine{Run: run, Result: "not verified", Text: noVerdict}
	}
	switch v.Result {
	case "pass":
		return verdictLine{"pass", run, "verified", v.Text}
	case "fail":
		return verdictLine{"fail", run, "verification failed", v.Text}
	case "incomplete":
		return verdictLine{"incomplete", run, "verification incomplete", v.Text}
	}
	return verdictLine{Run: run, Result: "not verified", Text: v.Text}
}
