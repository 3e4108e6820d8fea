package attest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
	"github.com/temper-ml/temper/report/verify"
)

// testdata has the golden run; its key is that of 32 zero bytes.
func golden(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "run", Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is given for a document, reading it does not panic, and what is
// accepted is the one text of what it says.
func FuzzDocuments(f *testing.F) {
	for _, name := range []string{recordName, modelName, sigName, pubName, provenanceName} {
		f.Add(golden(f, name))
	}
	f.Add([]byte(`{"payload":"","payload":"","payloadType":"","signatures":[]}` + "\n"))
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"","sig":"AAAA"}]}` + "\n"))
	facts, err := readFacts(filepath.Join("testdata", "run"), runlog.Trust{})
	if err != nil {
		f.Fatal(err)
	}
	key, err := runlog.Envelope(facts.manifest.Signer)
	if err != nil {
		f.Fatal(err)
	}
	pub := golden(f, pubName)
	p256, err := parsePEM(pub)
	if err != nil {
		f.Fatal(err)
	}
	good := map[string]bool{}
	for _, name := range []string{recordName, modelName, sigName, provenanceName} {
		good[string(golden(f, name))] = true
	}
	want, err := modelStatement(facts)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		payload, err := parseEnvelope(t.Context(), b, key)
		if err == nil && !good[string(b)] {
			t.Errorf("accepted envelope %q of %q", b, payload)
		}
		if payload, err = parseBundle(t.Context(), b, p256, hintOf(pub)); err == nil && !good[string(b)] {
			t.Errorf("accepted bundle %q of %q", b, payload)
		}
		if _, err := parsePEM(b); err == nil && !bytes.Contains(b, []byte("PUBLIC KEY")) {
			t.Errorf("accepted key %q", b)
		}
		if err := sameStatement(b, want); err == nil && !bytes.Equal(b, want) {
			t.Errorf("%q taken for the statement", b)
		}
		_ = checkFormat(b)
	})
}

// Another format is refused as such, and so is a statement that is not of the
// record though its key signed it.
func TestWellSignedButOther(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(run, os.DirFS(filepath.Join("testdata", "run"))); err != nil {
		t.Fatal(err)
	}
	text, _, err := note.GenerateKey(bytes.NewReader(make([]byte, 32)), "temper")
	if err != nil {
		t.Fatal(err)
	}
	key, err := runlog.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(run, Dir, recordName)
	good, err := parseEnvelope(t.Context(), golden(t, recordName), key.Envelope())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{
		{Format, "temper-attestations/2", `predicate.format: "temper-attestations/2", this program derives "temper-attestations/1"`},
		{`"steps":3`, `"steps":4`, "payload: predicate.counts.steps is 4, the record says 3"},
		{`"steps":3`, `"steps":3,"more":1`, "payload: predicate.counts.more is 1, the record says nothing of it"},
		{`"steps":3,`, ``, "payload: predicate.counts.steps is missing, the record says 3"},
		{`"steps":3`, `"steps": 3`, "payload: not the canonical text"},
		{`"steps":3`, `"steps":3,"steps":3`, "payload: "},
		{`{"_type"`, `{`, "payload: "},
	} {
		bad := bytes.Replace(good, []byte(c[0]), []byte(c[1]), 1)
		if bytes.Equal(bad, good) {
			t.Fatalf("%q is not there", c[0])
		}
		doc, err := signedDocument(t.Context(), key.Envelope(), bad)
		if err == nil {
			err = os.WriteFile(name, doc, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		checks := Check(t.Context(), run, CheckOptions{})
		if checks[0].Result != verify.Fail || !strings.Contains(checks[0].Evidence, c[2]) {
			t.Errorf("%q for %q: %s, want %q", c[1], c[0], checks[0].Evidence, c[2])
		}
	}
}

// hostile are texts that would be markup if nobody cared.
var hostile = []string{
	"<script>alert(1)</script>", "](javascript:alert(1))", "![x](http://evil.example/x.png)", "http://evil.example", "www.evil.example",
	"a@evil.example", "| cell | cell |", "a\n# heading", "a\r\n---\nlicense: mit\n", "`code`", "````", "*em* **strong** ~~gone~~ __x__", "&lt;b&gt; &#60;",
	"\" onmouseover=\"x", "' : {}", "[ref]: http://evil.example", "\u202Egnp.exe", "\u2028", "\x00\x1b[31m", "- item", "$x$", "\\", "\\|", "<!-- ", "{{ x }}", strings.Repeat("x", 1000),
}

// Names come out of the Markdown as they are: no character of them is markup.
func TestMarkdownHasNoMarkupOfNames(t *testing.T) {
	check := func(t interface {
		Helper()
		Errorf(string, ...any)
	}, s string,
	) {
		t.Helper()
		got := markdown(s)
		if strings.ContainsAny(got, "\n\r<>\"\x00\x1b") {
			t.Errorf("%q: %q", s, got)
		}
		if back := plainText(got); back != visible(s) {
			t.Errorf("%q reads as %q", visible(s), back)
		}
		for i := 0; i < len(got); i++ { // an unescaped mark
			switch c := got[i]; {
			case c == '\\':
				i++
			case c == '&':
			case strings.IndexByte("|`*_[]{}~#!$:/.@=+^", c) >= 0:
				t.Errorf("%q: %q is not escaped in %q", s, c, got)
			}
		}
	}
	for _, s := range hostile {
		check(t, s)
	}
	rapid.Check(t, func(r *rapid.T) { check(r, rapid.String().Draw(r, "s")) })
}

// plainText undoes the escapes of Markdown as CommonMark defines them.
func plainText(s string) string {
	s = strings.NewReplacer(`\\`, "\\\\", "&lt;", "<", "&gt;", ">", "&quot;", `"`, "&amp;", "&").Replace(s)
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] < utf8.RuneSelf && !alphanumeric(rune(s[i+1])) && s[i+1] != ' ' {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Front matter reads back as the same texts, in a YAML reader that is not ours,
// and has no other members.
func TestFrontMatterHoldsHostileNames(t *testing.T) {
	for _, s := range hostile {
		f, err := readFacts(filepath.Join("testdata", "run"), runlog.Trust{})
		if err != nil {
			t.Fatal(err)
		}
		f.manifest.Run, f.stages[1].Name = s, s
		f.stages[1].after.Suites = map[string]record.Score{s: {Right: 1, Total: 4}}
		config, err := json.Marshal(map[string]any{"model_type": s})
		if err != nil {
			t.Fatal(err)
		}
		f.manifest.Architecture = string(config)
		f.manifest.Recipe = "name: x\n```\n<script>\n" + s
		text, err := cardDocument(f)
		if err != nil {
			t.Fatal(err)
		}
		front := bytes.SplitN(text, []byte("\n---\n"), 2)
		var got struct {
			Library string   `yaml:"library_name"`
			Task    string   `yaml:"pipeline_tag"`
			Tags    []string `yaml:"tags"`
			Index   []struct {
				Name    string           `yaml:"name"`
				Results []map[string]any `yaml:"results"`
			} `yaml:"model-index"`
		}
		if err := yaml.UnmarshalWithOptions(bytes.TrimPrefix(front[0], []byte("---\n")), &got, yaml.Strict()); err != nil {
			t.Fatalf("%q: %v\n%s", s, err, front[0])
		}
		if got.Index[0].Name != s || got.Tags[1] != s || len(got.Tags) != 2 || len(got.Index) != 1 || len(got.Index[0].Results) != 2 {
			t.Errorf("%q: %+v", s, got)
		}
		if n := bytes.Count(front[1], []byte("<")); n != strings.Count(recipeBlock(front[1]), "<") {
			t.Errorf("%q: %d angle brackets outside of the recipe\n%s", s, n, front[1])
		}
	}
}

// A card of nothing but hostile names, for scripts/attest_public.sh to render
// with a reader of Markdown that is not ours.
func TestHostileCard(t *testing.T) {
	f, err := readFacts(filepath.Join("testdata", "run"), runlog.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(hostile[:len(hostile)-1], " ")
	f.manifest.Run = all
	for i := range f.stages {
		f.stages[i].Name, f.stages[i].Method, f.stages[i].Optimizer = all, all, all
	}
	f.stages[1].after.Suites = map[string]record.Score{}
	for i, s := range hostile {
		f.manifest.Data = append(f.manifest.Data, record.File{Path: s, Digest: record.SHA256([]byte(s))})
		f.stages[1].after.Suites[s] = record.Score{Right: int64(i), Total: 100}
	}
	f.manifest.Program.Version, f.manifest.Program.Go, f.manifest.Program.Revision, f.manifest.Hosts[0].CPU = all, all, all, all
	f.manifest.Recipe = strings.Join(hostile, "\n")
	got, err := cardDocument(f)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "hostile.md")
	if os.Getenv("TEMPER_REWRITE") != "" {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what is made now, %v: TEMPER_REWRITE=1 writes it again; then run scripts/attest_public.sh", name, err)
	}
}

// recipeBlock is the fenced recipe at the end of a card.
func recipeBlock(card []byte) string {
	_, block, _ := strings.Cut(string(card), "yaml\n")
	return block
}

// A fence is longer than any run of its marks in the text.
func TestFences(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := rapid.StringOf(rapid.SampledFrom([]rune("`a\n~\r\x00"))).Draw(r, "s")
		lines := strings.Split(strings.TrimSuffix(fenced("yaml", s), "\n"), "\n")
		fence := lines[len(lines)-1]
		for _, l := range lines[1 : len(lines)-1] {
			if strings.Contains(l, fence) {
				r.Errorf("%q: %q within", s, fence)
			}
		}
		if lines[0] != fence+"yaml" {
			r.Errorf("%q: begins with %q", s, lines[0])
		}
	})
}
