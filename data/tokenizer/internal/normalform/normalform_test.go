package normalform

import (
	"strings"
	"testing"

	"github.com/temper-ml/temper/data/tokenizer/tokenizertest"
)

// Examples of the standard, UAX #15.
func TestStandardExamples(t *testing.T) {
	for _, c := range []struct{ in, nfc, nfd, nfkc, nfkd string }{
		{"\u212B", "\u00C5", "A\u030A", "\u00C5", "A\u030A"},
		{"\u2126", "\u03A9", "\u03A9", "\u03A9", "\u03A9"},
		{"\u1E69", "\u1E69", "s\u0323\u0307", "\u1E69", "s\u0323\u0307"},
		{"\u1E0B\u0323", "\u1E0D\u0307", "d\u0323\u0307", "\u1E0D\u0307", "d\u0323\u0307"},
		{"q\u0307\u0323", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307", "q\u0323\u0307"},
		{"\uFB01", "\uFB01", "\uFB01", "fi", "fi"},
		{"2\u2075", "2\u2075", "2\u2075", "25", "25"},
		{"\u1E9B\u0323", "\u1E9B\u0323", "\u017F\u0323\u0307", "\u1E69", "s\u0323\u0307"},
		{"\uAC01", "\uAC01", "\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8"},
		{"\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8"},
		{"\uAC00\u11A8", "\uAC01", "\u1100\u1161\u11A8", "\uAC01", "\u1100\u1161\u11A8"},
		{"\u0958", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C", "\u0915\u093C"}, // excluded from composition
		{"a\u0301\xff\u0301b", "\u00E1\xff\u0301b", "a\u0301\xff\u0301b", "\u00E1\xff\u0301b", "a\u0301\xff\u0301b"},
		{"", "", "", "", ""},
	} {
		for form, want := range map[Form]string{NFC: c.nfc, NFD: c.nfd, NFKC: c.nfkc, NFKD: c.nfkd} {
			if got := form.String(c.in); got != want {
				t.Errorf("%s of %+q: got %+q, want %+q", form, c.in, got, want)
			}
		}
	}
}

// laws are what holds for all text.
func laws(t *testing.T, text string) {
	t.Helper()
	for _, f := range []Form{NFC, NFD, NFKC, NFKD} {
		once := f.String(text)
		if twice := f.String(once); twice != once {
			t.Errorf("%s of %+q is not settled: %+q, then %+q", f, text, once, twice)
		}
	}
	if a, b := NFC.String(NFD.String(text)), NFC.String(text); a != b {
		t.Errorf("NFC of NFD of %+q: got %+q, want %+q", text, a, b)
	}
	if a, b := NFD.String(NFC.String(text)), NFD.String(text); a != b {
		t.Errorf("NFD of NFC of %+q: got %+q, want %+q", text, a, b)
	}
	if a, b := NFKC.String(NFKD.String(text)), NFKC.String(text); a != b {
		t.Errorf("NFKC of NFKD of %+q: got %+q, want %+q", text, a, b)
	}
}

func TestLaws(t *testing.T) {
	for line := range strings.Lines(tokenizertest.Mixed(600)) {
		laws(t, line)
	}
	for r := range tables().props {
		laws(t, string(r))
		laws(t, "e"+string(r)+"\u0301")
		laws(t, "\u0301"+string(r)+"\u0323\u0301")
	}
}

func FuzzLaws(f *testing.F) {
	f.Add("é\u0301\u0323 각 \xff")
	f.Fuzz(laws)
}

// The shortcut for text that cannot change is not taken when it can.
func TestSettled(t *testing.T) {
	data := tables()
	full := func(f Form, s string) string {
		runes := []rune{}
		for _, r := range s {
			runes = data.decompose(runes, r, f == NFKC || f == NFKD)
		}
		data.reorder(runes)
		if f == NFC || f == NFKC {
			runes = data.compose(runes)
		}
		return string(runes)
	}
	for r := range data.props {
		for _, f := range []Form{NFC, NFD, NFKC, NFKD} {
			for _, s := range []string{string(r), "a" + string(r), string(r) + string(r)} {
				if got, want := f.String(s), full(f, s); got != want {
					t.Errorf("%s of %+q: got %+q, want %+q", f, s, got, want)
				}
			}
		}
	}
}

func TestLowercase(t *testing.T) {
	if got, want := Lowercase("ABC İΣς ẞ Ǆ \xffÉ"), "abc i\u0307σς ß ǆ \xffé"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
