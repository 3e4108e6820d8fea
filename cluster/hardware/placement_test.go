package hardware

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseDevices(t *testing.T) {
	for _, c := range []struct {
		cluster, text string
		want          int
	}{
		{"ascend-910c", "2048", 2048},
		{"ascend-910c", "1024cards", 2048},
		{"ascend-910c", "1024 cards", 2048},
		{"ascend-910c", "1 card", 2},
		{"ascend-910c", "8nodes", 128},
		{"ascend-910c", "2supernodes", 1536},
		{"ascend-910c", "2 SuperPods", 1536},
		{"ascend-910c", "16dies", 16},
		{"ascend-910c", "331_776", 331776},
		{"cloudmatrix384", "1supernode", 768},
		{"h100", "1,024gpus", 1024},
		{"h100", "128 servers", 1024},
		{"h100", "16cards", 16},
		{"gb200", "2racks", 144},
		{"gb200", "3 nodes", 12},
		{"ascend-950pr", "2pods", 2048},
		{"ascend-950pr", "2supernodes", 2048},
		{"ascend-950pr", "2unions", 128},
	} {
		got, err := ParseDevices(load(t, c.cluster), c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: %q is %d, %v, want %d", c.cluster, c.text, got, err, c.want)
		}
	}
}

func TestParseDevicesRefuses(t *testing.T) {
	for _, c := range []struct{ cluster, text, want string }{
		{"h100", "0", `hardware: devices = "0": must be above 0; nearest legal: 1`},
		{"h100", "0nodes", `must be above 0; nearest legal: 1nodes`},
		{"h100", "-8", "must be a whole number above 0"},
		{"h100", "", "must be a whole number above 0"},
		{"h100", "many", "must be a whole number above 0"},
		{"h100", "8.5", "has no unit"},
		{"h100", "131073", `hardware: devices = "131073": h100 describes at most 131072 devices; nearest legal: 131072`},
		{"ascend-910c", "165889cards", "describes at most 331776 devices; nearest legal: 165888cards"},
		{"h100", "99999999999999999999999", "describes at most 131072 devices; nearest legal: 131072"},
		{"h100", "9223372036854775807nodes", "nearest legal: 16384nodes"},
		{"h100", "2supernodes", `h100 has no unit "supernodes", only devices, cards, nodes`},
		{"ascend-910c", "2supernods", "did you mean 2supernodes?"},
		{"h100", "8nods", "did you mean 8nodes?"},
		{"gb200", "2wagons", `gb200 has no unit "wagons", only devices, cards, nodes, racks`},
	} {
		got, err := ParseDevices(load(t, c.cluster), c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q is %d, %v, want an error with %q", c.cluster, c.text, got, err, c.want)
		}
	}
}

func TestDomainOf(t *testing.T) {
	c := load(t, "ascend-910c")
	for _, g := range []struct {
		first, stride, size int
		want                string
	}{
		{0, 1, 1, "card"},
		{5, 1, 1, "card"},
		{0, 1, 2, "card"},
		{1, 1, 2, "node"},
		{0, 1, 16, "node"},
		{0, 1, 17, "supernode"},
		{8, 1, 16, "supernode"},
		{0, 16, 48, "supernode"},
		{0, 16, 49, "scale-out"},
		{704, 1, 64, "supernode"},
		{736, 1, 64, "scale-out"},
		{0, 1, 2048, "scale-out"},
	} {
		if got := c.Domains[c.DomainOf(g.first, g.stride, g.size)].Name; got != g.want {
			t.Errorf("%+v is in a %s, want %s", g, got, g.want)
		}
	}
}

// The domain found holds every member, and no smaller one does.
func TestDomainOfIsTheSmallest(t *testing.T) {
	c := load(t, "ascend-910c")
	holds := func(size, first, stride, n int) bool {
		for i := range n {
			if (first+i*stride)/size != first/size {
				return false
			}
		}
		return true
	}
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.IntRange(0, 5000).Draw(t, "first")
		stride := rapid.IntRange(1, 1024).Draw(t, "stride")
		n := rapid.IntRange(1, 64).Draw(t, "size")
		want := len(c.Domains) - 1
		for i := len(c.Domains) - 1; i >= 0; i-- {
			if holds(c.Domains[i].Size, first, stride, n) {
				want = i
			}
		}
		if got := c.DomainOf(first, stride, n); got != want {
			t.Fatalf("domain %d, want %d", got, want)
		}
	})
}
