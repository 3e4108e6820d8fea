package arch

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/architectures.md")

// The tables of the documentation are what the code computes.
func TestDocumentedTables(t *testing.T) {
	const path = "../../docs/architectures.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := text
	for name, table := range map[string]string{"models": modelTable(t), "families": familyTable()} {
		begin, end := fmt.Sprintf("<!-- begin %s -->\n", name), fmt.Sprintf("<!-- end %s -->", name)
		i, j := bytes.Index(want, []byte(begin)), bytes.Index(want, []byte(end))
		if i < 0 || j < i {
			t.Fatalf("%s has no lines %q and %q", path, begin, end)
		}
		want = slices.Concat(want[:i+len(begin)], []byte(table), want[j:])
	}
	if bytes.Equal(text, want) {
		return
	}
	if !*update {
		t.Fatalf("%s differs from what the code computes; run go test ./model/arch -run DocumentedTables -update", path)
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

func modelTable(t *testing.T) string {
	names := Builtins()
	order := make(map[Family]int)
	for i, f := range Families() {
		order[f] = i
	}
	slices.SortStableFunc(names, func(a, b string) int {
		x, y := must(t, a), must(t, b)
		if x.Family != y.Family {
			return order[x.Family] - order[y.Family]
		}
		p, _, _ := x.Count()
		q, _, _ := y.Count()
		return int(min(1, max(-1, p-q)))
	})
	var b strings.Builder
	b.WriteString("| name | family | layers | parameters | active | ledger | megatron | verl | torchtitan |\n")
	b.WriteString("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, name := range names {
		c := must(t, name)
		total, _, active := c.Count()
		fmt.Fprintf(&b, "| `%s` | %s | %d | %s | %s |", name, c.Family, c.NumLayers, short(float64(total), "B"), short(float64(active), "B"))
		for _, by := range []Convention{ByLedger, Megatron, Verl, Torchtitan} {
			fmt.Fprintf(&b, " %s |", short(perToken(t, c, by, 4096), "G"))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// short writes a count with four digits and a decimal unit; that of 10^9 has two names.
func short(x float64, billion string) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e12, "T"}, {1e9, billion}, {1e6, "M"}} {
		if x >= u.size {
			return fmt.Sprintf("%.4g %s", x/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.4g", x)
}

func familyTable() string {
	var b strings.Builder
	b.WriteString("| model_type | trained | attention | feed-forward | router scores | also |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, f := range Families() {
		c := sample(f)
		trained, ffn, also := "no", "SwiGLU", []string(nil)
		if f.Trainable() {
			trained = "yes"
		}
		if !c.IsGated() {
			ffn = "GELU"
		}
		switch {
		case c.IsMoE(c.NumLayers-1) && c.DenseLayers > 0:
			ffn += ", experts after the first layers"
		case c.IsMoE(0):
			ffn += ", experts"
		}
		for _, has := range []struct {
			it   bool
			name string
		}{
			{c.HasQKNorm(), "norms of queries and keys"},
			{c.HasQKVBias(), "biases on query, key and value"},
			{c.HasOutputBias(), "bias on the attention's output"},
			{c.HasSinks(), "attention sinks"},
			{c.HasLearnedPositions(), "learned positions, LayerNorm"},
			{c.NumMTP > 0, "multi-token prediction"},
		} {
			if has.it {
				also = append(also, has.name)
			}
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", f, trained, attends(c), ffn, c.Scoring(), strings.Join(also, "; "))
	}
	return b.String()
}

// sample returns a built-in model of the family, the first by name.
func sample(f Family) *Config {
	for _, name := range Builtins() {
		if c, _ := Builtin(name); c.Family == f {
			return c
		}
	}
	return &Config{Family: f}
}

func attends(c *Config) string {
	var kinds []string
	for l := range c.NumLayers {
		kind := c.Kind(l).String()
		if c.LayerWindow(l) > 0 && c.Kind(l) == GQA {
			kind += " in a window"
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, ", ")
}
