package hardware

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/hardware.md")

// The tables of the documentation are the catalogue.
func TestDocumentationIsTheCatalogue(t *testing.T) {
	const path, begin, end = "../../docs/hardware.md", "<!-- catalogue -->\n", "<!-- end of the catalogue -->"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks %q or %q", path, begin, end)
	}
	var all []*Cluster
	for _, name := range Names() {
		all = append(all, load(t, name))
	}
	want := Markdown(all)
	if have == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the catalogue says: run go test ./cluster/hardware -run Documentation -update, and read the difference", path)
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSummary(t *testing.T) {
	s := Summary([]*Cluster{load(t, "ascend-910c"), load(t, "cpu")})
	for _, want := range []string{"353.9", "61.27 GiB", "card 2: 224 GB/s, node 16: 196 GB/s, supernode 768: 196 GB/s, scale-out: 25 GB/s", "2/16", "0.232 (fp32)"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not in\n%s", want, s)
		}
	}
}
