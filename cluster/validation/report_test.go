package validation

import (
	"bytes"
	"flag"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
)

var rewrite = flag.Bool("rewrite", false, "fit the constants to all published rows and write them with the report and its plots")

// command makes the report and the constants.
const command = "TEMPER_DATA=/path/to/data go test ./cluster/validation -run TestReport -rewrite"

const (
	docsDir       = "../../docs"
	figuresDir    = "validation" // below docsDir
	constantsPath = "../costmodel/constants.yaml"
)

// TestReport holds docs/validation.md, its plots and the embedded constants to
// what the published rows say today.
func TestReport(t *testing.T) {
	if testing.Short() {
		t.Skip("a fit of all rows and one without each system take some ten seconds")
	}
	v, err := realSet(t).Validate()
	if err != nil {
		t.Fatal(err)
	}
	k, err := v.Constants()
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		writeConstants(t, k)
	} else {
		compareConstants(t, costmodel.DefaultConstants(), k)
	}
	compareFile(t, filepath.Join(docsDir, "validation.md"), v.Markdown(command, figuresDir))
	figures := v.Figures()
	var names []string
	for name := range figures {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		compareFile(t, filepath.Join(docsDir, figuresDir, name), figures[name])
	}
}

// compareFile writes the file, or fails if it is not what it should be.
func compareFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is stale (%v): run %s, and commit what you understand", path, err, command)
	}
}

// writeConstants keeps the comment at the head of the file.
func writeConstants(t *testing.T, k *costmodel.Constants) {
	t.Helper()
	old, err := os.ReadFile(constantsPath)
	if err != nil {
		t.Fatal(err)
	}
	var head []byte
	for line := range bytes.Lines(old) {
		if !bytes.HasPrefix(line, []byte("#")) {
			break
		}
		head = append(head, line...)
	}
	text, err := k.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(constantsPath, append(head, text...), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compareConstants fails where the constants in use are not those of the fit.
func compareConstants(t *testing.T, got, want *costmodel.Constants) {
	t.Helper()
	use := got.All()
	for i, w := range want.All() {
		if g := use[i]; math.Abs(math.Log(g.Value/w.Value)) > 2e-3 || math.Abs(g.Error-w.Error) > 0.01 {
			t.Errorf("constants.yaml has %s = %v ± %v, the fit %v ± %v: run %s", g.Name, g.Value, g.Error, w.Value, w.Error, command)
		}
	}
	a, b := got.Widths(), want.Widths()
	for _, n := range []costmodel.Novelty{{}, {MoE: true}, {Device: true}} {
		if x, y := a.Factor*a.Sigma(n), b.Factor*b.Sigma(n); math.Abs(x-y) > 2e-3 {
			t.Errorf("constants.yaml has intervals of ± %v for %+v, the rows say ± %v: run %s", x, n, y, command)
		}
	}
}
