package hardware

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// same compares all but the name of the base, which a printed file has no use for.
func same(a, b *Cluster) string {
	x, y := *a, *b
	x.Base, y.Base = "", ""
	return cmp.Diff(x, y, cmp.AllowUnexported(Cluster{}))
}

func TestYAMLReadsBack(t *testing.T) {
	for _, name := range Names() {
		c := load(t, name)
		text := c.YAML()
		back, err := Decode(text, name+".yaml")
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if d := same(c, back); d != "" {
			t.Errorf("%s reads back otherwise: %s\n%s", name, d, text)
		}
		if again := back.YAML(); string(again) != string(text) {
			t.Errorf("%s prints otherwise the second time: %s", name, cmp.Diff(string(text), string(again)))
		}
	}
}

// Any text is read or refused; what is read prints and reads back.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte("name: x\nbase: ascend-910c\ntitle: \"a\\tb: #\"\nnotes: [1, 'two', true]\nprice: 1 EUR/h\n"))
	f.Add([]byte("name: x\nbase: h100\ndomains:\n- name: node\n- name: all\n  bandwidth: 1e3 B/s\n  latency: 1 ns\n  efficiency: 1\n  topology: mesh\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := Decode(src, "fuzz.yaml")
		if err != nil {
			return
		}
		if err := c.Check(); err != nil {
			t.Fatalf("read, and yet: %v", err)
		}
		back, err := Decode(c.YAML(), "fuzz.yaml")
		if err != nil {
			t.Fatalf("%v\n%s", err, c.YAML())
		}
		if d := same(c, back); d != "" {
			t.Fatalf("reads back otherwise: %s\n%s", d, c.YAML())
		}
	})
}

// Whatever people write in words comes back as they wrote it.
func TestWordsReadBack(t *testing.T) {
	base := load(t, "ascend-910c")
	rapid.Check(t, func(t *rapid.T) {
		c := *base
		word := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"null", "~", "- a", "a: b", "a #b", "'", `"`, `\`, "1e3", "0x1F", "yes", "none", " a ", "a\nb", "2026-11-24", "[a]", "{a}", "*a", "&a", "!a", "|", ">", "%", "@", "`"}))
		c.Title, c.Device.Name, c.Notes = word.Draw(t, "title"), word.Draw(t, "name"), rapid.SliceOfN(word, 0, 3).Draw(t, "notes")
		c.evidence = maps.Clone(base.evidence)
		c.SetEvidence("device.tdp", Evidence{Grade: User, Source: "x" + word.Draw(t, "source"), Conflict: word.Draw(t, "conflict")})
		back, err := Decode(c.YAML(), "x.yaml")
		if err != nil {
			t.Fatalf("%v\n%s", err, c.YAML())
		}
		if len(c.Notes) == 0 {
			c.Notes = nil
		}
		if d := same(&c, back); d != "" {
			t.Fatalf("reads back otherwise: %s\n%s", d, c.YAML())
		}
	})
}
