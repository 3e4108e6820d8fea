package audit

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// Every text of a claim stays text, the page is well formed, and it loads nothing.
func TestPage(t *testing.T) {
	const x = `</title></style><script>alert(1)</script><img src=x onerror=alert(1)>" onload="alert(1)`
	c, err := Load("testdata/impossible-mfu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c.Title, c.Source, c.Notes = x, x, []string{x, "\x00\xff"}
	c.Statements[4].Text, c.Statements[4].Quote, c.Statements[4].Source = x, x, x
	c.Statements[4].Discloses = map[string]string{"data": x}
	r, err := Run(context.Background(), c, facts{Interval{10, 20}}, "h100")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	p := b.String()
	for _, bad := range []string{"<script", "<img", "src=x", "http:", "https:", "url(", "@import"} {
		if strings.Contains(strings.ReplaceAll(p, "src=x onerror=alert(1)&gt;", ""), bad) {
			t.Errorf("%q in the page", bad)
		}
	}
	for _, want := range []string{"Contradiction 1", "inconsistent", "undetermined", "missing", "MFU ≥ 44.5 %"} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, want := range []string{`lang="en"`, "default-src 'none'", `<th scope="row">`, "<caption>"} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	d := xml.NewDecoder(strings.NewReader(strings.NewReplacer("<!doctype html>", "", "<br>", "<br/>").Replace(p)))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	depth := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 {
		t.Errorf("%d elements are not closed", depth)
	}
}
