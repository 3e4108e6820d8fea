package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var updateDocs = flag.Bool("update-docs", false, "write the output quoted in docs/audit.md")

// A reviewer holds the announcement against physics: nothing contradicts, much is
// missing, as docs/audit.md shows in full.
func TestDocumentedAudit(t *testing.T) {
	if testing.Short() {
		t.Skip("searches layouts for a thousand devices, three times")
	}
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	const path = "../../docs/audit.md"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	root := newRootCmd()
	root.SetArgs([]string{"audit", "consortium-2026"})
	root.SetOut(&out)
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0 inconsistent", "undetermined  relative", "1000 read as cards", "missing    interconnect"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the output", want)
		}
	}
	begin := "`temper audit consortium-2026`, in full:\n\n```\n"
	at := strings.Index(string(doc), begin)
	end := strings.Index(string(doc[at+len(begin):]), "```\n")
	if at < 0 || end < 0 {
		t.Fatalf("%s has no block after %q", path, begin)
	}
	want := string(doc[:at]) + begin + out.String() + string(doc[at+len(begin)+end:])
	if want == string(doc) {
		return
	}
	if !*updateDocs {
		t.Fatalf("%s shows something else; run go test ./cmd/temper -run DocumentedAudit -update-docs", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}
