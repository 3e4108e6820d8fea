package audit

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"strings"
)

//go:embed page.tmpl
var pageText string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"add":  func(i int) int { return i + 1 },
	"join": func(s []string) string { return strings.Join(s, ", ") },
}).Parse(pageText))

// pageData is what the template is filled with.
type pageData struct {
	*Report
	Style      template.CSS
	StyleHash  string
	Statements []pageStatement
	Implied    []pageImplied
	Prediction string
}

type pageStatement struct {
	Judgement
	Said string
}

type pageImplied struct {
	Name string
	Implied
}

// HTML writes the report as a page that needs nothing but itself: no script, no
// address, and a policy that forbids both.
func (r *Report) HTML(w io.Writer) error {
	hash := sha256.Sum256([]byte(pageStyle))
	d := pageData{Report: r, Style: template.CSS(pageStyle), StyleHash: base64.StdEncoding.EncodeToString(hash[:])}
	for i := range r.Statements {
		d.Statements = append(d.Statements, pageStatement{r.Statements[i], r.Statements[i].said()})
	}
	for _, v := range r.order {
		d.Implied = append(d.Implied, pageImplied{info[v].name, r.Implied[key(v)]})
	}
	var text strings.Builder
	r.predictionText(&text)
	if _, lines, ok := strings.Cut(strings.TrimSpace(text.String()), "\n"); ok {
		d.Prediction = lines
	}
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		return err
	}
	_, err := w.Write(bytes.Map(printable, b.Bytes()))
	return err
}

// printable replaces what no page may hold.
func printable(c rune) rune {
	if c < 0x20 && c != '\n' && c != '\t' || c == 0x7f {
		return '\uFFFD'
	}
	return c
}
