package execution

import (
	"encoding/xml"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

func TestCurves(t *testing.T) {
	r := setup(t)
	dir := filepath.Join(t.TempDir(), "run")
	s := execute(t, r, dir)
	cs, err := Curves(dir)
	if err != nil || len(cs) != 2 {
		t.Fatalf("%d curves, %v", len(cs), err)
	}
	if int64(len(cs[0].Train)) != s.Stages[0].Steps || len(cs[0].HeldOut) != 4 { // before, twice on the way, after
		t.Errorf("%d steps and %d measurements", len(cs[0].Train), len(cs[0].HeldOut))
	}
	var csv, svg strings.Builder
	if err := cs[0].CSV(&csv); err != nil || strings.Count(csv.String(), "\n") != 1+5+4 {
		t.Errorf("csv: %v\n%s", err, csv.String())
	}
	if err := cs[0].SVG(&svg, `<script>&"`); err != nil {
		t.Error(err)
	}
	for d := xml.NewDecoder(strings.NewReader(svg.String())); ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Error("a title became an element")
		}
	}
}
