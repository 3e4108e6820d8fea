package render

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func pageOf(t *testing.T, runs ...*Run) string {
	t.Helper()
	var b strings.Builder
	if err := HTML(&b, runs...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hostile is a run whose every text tries to leave its place.
func hostile() *Run {
	const x = `</title></style></svg><script>alert(1)</script><img src=x onerror=alert(1)>" onload="alert(1)`
	r := finished()
	r.Name, r.Recipe, r.PeakBasis = x, x, x
	r.Stages[0].Name = x
	r.Hardware, r.Software, r.Interconnect = []Fact{{x, x}}, []Fact{{x, x}}, []Fact{{x, x}}
	r.Data = []File{{Path: x, Digest: x}}
	r.Conventions[0] = Convention{x, x}
	r.Verdict = &Verdict{Result: x, Text: x}
	for i := range r.Events {
		r.Events[i].Text = x
		for j := range r.Events[i].Values {
			r.Events[i].Values[j].Name = x
		}
	}
	for i := range r.Steps {
		r.Steps[i].Losses = []Value{{x, math.NaN()}, {"lm", math.Inf(1)}}
		r.Steps[i].Split[0].Name = x
	}
	r.Events = append(r.Events, Event{Kind: Fault, Text: x, After: 2}, Event{Kind: x, After: -5}, Event{Kind: Note, Stage: 99, Text: "\x00\xff"})
	return r
}

func TestPageEscapesEverything(t *testing.T) {
	for _, p := range []string{pageOf(t, hostile()), pageOf(t, hostile(), hostile())} {
		for _, bad := range []string{"<script", "<img", "<iframe", "javascript:"} {
			if i := strings.Index(p, bad); i >= 0 {
				t.Fatalf("%q in the page: %.200s", bad, p[max(0, i-100):])
			}
		}
		unquoted := regexp.MustCompile(`"[^"<>]*"`).ReplaceAllString(p, "")
		if m := regexp.MustCompile(`<[^>]*\son[a-z]+=`).FindString(unquoted); m != "" {
			t.Errorf("a handler in the page: %s", m)
		}
		wellFormed(t, p)
	}
}

// wellFormed checks that elements nest and are closed.
func wellFormed(t *testing.T, p string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(p))
	d.Strict = false
	d.AutoClose = []string{"meta"}
	d.Entity = xml.HTMLEntity
	var open []string
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			open = append(open, tok.Name.Local)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != tok.Name.Local {
				t.Fatalf("</%s> closes %v", tok.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%v not closed", open)
	}
}

// The page asks for nothing: no address but the name space of SVG, no script.
func TestPageStandsAlone(t *testing.T) {
	p := pageOf(t, finished())
	rest := strings.ReplaceAll(p, `xmlns="http://www.w3.org/2000/svg"`, "")
	rest = regexp.MustCompile(`sha256-[A-Za-z0-9+/=]+`).ReplaceAllString(rest, "") // of the style sheet
	for _, bad := range []string{"http:", "https:", "//", "url(", "@import", "<link", "<script", " src=", ` style="`} {
		if strings.Contains(rest, bad) {
			t.Errorf("%q in the page", bad)
		}
	}
	if !strings.Contains(p, `default-src &#39;none&#39;`) && !strings.Contains(p, `default-src 'none'`) {
		t.Error("no policy")
	}
	wellFormed(t, p)
}

// With TEMPER_PAGES, a folder, the test leaves pages to look at.
func TestPages(t *testing.T) {
	crashed := synthetic(t, small)
	crashed.Verdict = &Verdict{Result: "incomplete", Text: "form and arithmetic hold; replay: not done here, run temper verify", Checks: []Check{{"signatures", "pass", "9 heads, all of one key"}}}
	other := synthetic(t, shape{steps: 80, ranks: 2, blocks: 3, experts: 8, model: "tiny-v4", every: 20})
	other.Name, other.Recipe = "other", strings.Replace(other.Recipe, "0.001", "0.0005", 1)
	other.Verdict = &Verdict{Result: "fail", Text: "entry 12: tokens"}
	open := finished()
	open.Events = open.Events[:5]
	for name, runs := range map[string][]*Run{
		"long": {synthetic(t, shape{steps: 100_000, ranks: 8, blocks: 8, experts: 32, model: "tiny-v4", every: 500, crash: 60_250})},
		"one":  {crashed}, "run": {{Name: "run", Steps: crashed.Steps}}, "two": {crashed, other}, "open": {open}, "empty": {{}}, "hostile": {hostile()}, "large": {synthetic(t, large)},
	} {
		p := pageOf(t, runs...)
		wellFormed(t, p)
		if len(p) > 2_000_000 {
			t.Errorf("page %s has %d bytes", name, len(p))
		}
		if dir := os.Getenv("TEMPER_PAGES"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(p), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPageSaysWhatIsKnown(t *testing.T) {
	r := finished()
	p := pageOf(t, r)
	for _, want := range []string{
		"not verified", "50.00 %", "60.00 %", "Where the time went", "Expert load", "Questions and answers", "4 → 1", "not recorded",
		"1970-01-01 00:00:07 UTC", "none on record",
	} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for result, want := range map[string]string{"pass": "<strong>small: verified.</strong>", "fail": "verification failed", "incomplete": "verification incomplete", "": "not verified"} {
		r.Verdict = &Verdict{Result: result}
		if p := pageOf(t, r); !strings.Contains(p, want) {
			t.Errorf("verdict %q: no %q", result, want)
		}
	}
	if p := pageOf(t, &Run{}, finished(), finished()); !strings.Contains(p, "Runs unnamed, small, small (2)") {
		t.Error("runs of one name are not told apart")
	}
	if err := HTML(&strings.Builder{}); err == nil {
		t.Error("a page about no run")
	}
}

// Predictions stand beside what the run measured of the same stage.
func TestPredictionsStandBesideTheRun(t *testing.T) {
	r := finished()
	r.Ranks, r.DType = 2, "fp32"
	r.Predictions = []Prediction{
		{Hardware: "h100", DType: "bf16", Devices: 2, Tokens: 100, Seconds: 0.25, Low: 0.2, High: 0.3, Layout: "dp=2", BoundBy: "compute"},
		{Hardware: "toaster", DType: "int8", Why: "too small <b>"},
	}
	p := pageOf(t, r)
	for _, want := range []string{
		"stage base, of the same batch and rows", "<td class=\"n\">1.0 s</td><td>measured</td><td class=\"n\">100</td>", "0.2 s to 0.3 s</td><td class=\"n\">400</td><td class=\"n\">4 ×</td><td>dp=2; compute",
		"no layout: too small &lt;b&gt;",
	} {
		if !strings.Contains(p, want) {
			t.Errorf("no %q in %s", want, p[strings.Index(p, "Predicted by"):][:1500])
		}
	}
	if (&Run{}).Largest() != -1 || synthetic(t, small).Largest() != 0 {
		t.Error("the largest stage")
	}
}
