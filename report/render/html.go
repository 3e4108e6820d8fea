package render

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/figure"
)

//go:embed page.tmpl
var pageText string

//go:embed page.css
var pageStyle string

// style is the page's style sheet, with the figures' colours on dark screens.
var style = pageStyle + "@media screen and (prefers-color-scheme: dark) {\n" + figure.Dark("figure") + "}\n"

var page = template.Must(template.New("page").Funcs(template.FuncMap{"class": classOf}).Parse(pageText))

// pageData is what the template is filled with.
type pageData struct {
	Title     string
	Style     template.CSS
	StyleHash string
	Verdicts  []verdictLine
	Tiles     []tile
	Sections  []section
}

type verdictLine struct{ Class, Run, Result, Text string }

// tile is a number that a reader looks for first.
type tile struct{ Name, Value, Note string }

// section is a heading, a sentence, and figures and tables.
type section struct {
	ID, Title, Intro string
	Parts            []part
}

// part is a figure, a table, or a figure with its numbers folded below it.
type part struct {
	Caption, Note string
	SVG           template.HTML // of package figure, which escapes its texts
	Wide          bool          // over all columns, as every table that is not folded
	Table         *table
	Folded        bool
	Text          *textPart
}

type textPart struct{ Summary, Body string }

type table struct {
	Caption string
	Head    []string
	Rows    [][]string
	// PerRun says that the second column names the run: a page about one run does
	// without it.
	PerRun bool
	// Anchors link the first cells of the rows to sections, where there are any.
	Anchors []string
}

// Anchor is the section that row i links to, empty for none.
func (t *table) Anchor(i int) string {
	if i < len(t.Anchors) {
		return t.Anchors[i]
	}
	return ""
}

// notRecorded stands where a run is silent.
const notRecorded = "not recorded"

// HTML writes a page about one run, or several side by side. It needs nothing
// but itself: no script, no address, and a policy that forbids both.
func HTML(w io.Writer, runs ...*Run) error {
	if len(runs) == 0 {
		return errors.New("a report needs at least one run")
	}
	hash := sha256.Sum256([]byte(style))
	d := pageData{
		Style:     template.CSS(style),
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
	if len(runs) == 1 {
		d.Tiles = v.tiles()
	}
	d.Sections = v.sections()
	for _, s := range d.Sections {
		for _, p := range s.Parts {
			if p.Table != nil {
				capped(p.Table)
			}
		}
	}
	if v.alone() {
		withoutRun(d.Sections)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(bytes.Map(printable, b.Bytes()))
	return err
}

// withoutRun takes the column that names the run out of the tables of one run.
func withoutRun(sections []section) {
	for _, s := range sections {
		for _, p := range s.Parts {
			t := p.Table
			if t == nil || !t.PerRun {
				continue
			}
			t.PerRun, t.Head = false, slices.Delete(slices.Clone(t.Head), 1, 2)
			for i, r := range t.Rows {
				t.Rows[i] = slices.Delete(slices.Clone(r), 1, 2)
			}
		}
	}
}

// printable replaces what no page may hold: control characters, and bytes that
// are not UTF-8.
func printable(r rune) rune {
	if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f {
		return '\uFFFD'
	}
	return r
}

// classOf is how a cell is set: numbers in one line, digests as such.
func classOf(cell string) string {
	switch {
	case cell == notRecorded:
		return "none"
	case cell != "" && len(cell) < 24 && (cell[0] >= '0' && cell[0] <= '9' || cell[0] == '-' || cell[0] == '+'):
		return "n"
	case strings.Contains(cell, " "):
		return ""
	case strings.HasPrefix(cell, "sha256:") || strings.HasPrefix(cell, "h1:") || strings.HasPrefix(cell, "temper+"):
		return "digest"
	}
	return ""
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

// whole is a table over all columns.
func whole(t *table) part { return part{Table: t, Wide: true} }

// silent is a table of one row that says that something is not on record.
func silent(caption, what string) part {
	return whole(&table{Caption: caption, Rows: [][]string{{what, notRecorded}}})
}
