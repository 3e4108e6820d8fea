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

var update = flag.Bool("update", false, "write the tables of docs/architectures.md and docs/flops.md")

// The tables of the documentation are what the code computes.
func TestDocumentedTables(t *testing.T) {
	documented(t, "../../docs/architectures.md", map[string]string{"models": modelTable(t), "families": familyTable()})
	documented(t, "../../docs/flops.md", map[string]string{
		"conventions": conventionTable(t), "bridge v3": bridgeTable(t, "deepseek-v3", 4096), "bridge v4": bridgeTable(t, "deepseek-v4-pro", 131072),
	})
}

func documented(t *testing.T, path string, tables map[string]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := text
	for name, table := range tables {
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
		t.Errorf("%s differs from what the code computes; run go test ./model/arch -run DocumentedTables -update", path)
		return
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// conventionTable compares the ways to count for the two models that reports are about.
func conventionTable(t *testing.T) string {
	var b strings.Builder
	b.WriteString("| model | tokens | ledger | megatron | verl | torchtitan |\n| --- | ---: | ---: | ---: | ---: | ---: |\n")
	for _, name := range []string{"deepseek-v3", "deepseek-v4-pro"} {
		c := must(t, name)
		for _, seq := range []int{4096, 131072, 1 << 20} {
			if seq > c.MaxPositions {
				continue
			}
			fmt.Fprintf(&b, "| `%s` | %d |", name, seq)
			for _, by := range []Convention{ByLedger, Megatron, Verl, Torchtitan} {
				fmt.Fprintf(&b, " %.3e |", perToken(t, c, by, seq))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// bridgeTable leads from the ledger to the conventions.
func bridgeTable(t *testing.T, name string, seq int) string {
	c := must(t, name)
	var b strings.Builder
	b.WriteString("| operator | ledger | megatron | verl | torchtitan | |\n| --- | ---: | ---: | ---: | ---: | --- |\n")
	rows, sums, order := map[string][4]float64{}, [4]float64{}, []string{}
	notes := map[string][]string{}
	for i, by := range []Convention{ByLedger, Megatron, Verl, Torchtitan} {
		diff, err := c.Compare(by, seq)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range diff {
			r, ok := rows[d.Operator]
			if !ok {
				order = append(order, d.Operator)
			}
			r[i] = d.Convention
			rows[d.Operator] = r
			sums[i] += d.Convention
			if d.Note != "" && !slices.Contains(notes[d.Operator], d.Note) {
				notes[d.Operator] = append(notes[d.Operator], d.Note)
			}
		}
	}
	rows["all"] = sums
	for _, operator := range append(order, "all") {
		fmt.Fprintf(&b, "| `%s` |", operator)
		for _, v := range rows[operator] {
			fmt.Fprintf(&b, " %.4f |", v/1e9)
		}
		fmt.Fprintf(&b, " %s |\n", strings.Join(notes[operator], "; "))
	}
	return b.String()
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
