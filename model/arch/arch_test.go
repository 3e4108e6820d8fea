package arch

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func must(t *testing.T, name string) *Config {
	t.Helper()
	c, err := Builtin(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBuiltinsAreLegalAndRoundTrip(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		back, err := ParseConfig(c.MarshalHF())
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, c.MarshalHF())
		}
		if d := cmp.Diff(c, back); d != "" {
			t.Errorf("%s changed on the way through config.json (-before +after):\n%s", name, d)
		}
	}
}

// The published files themselves must parse to exactly the built-in configs.
func TestBuiltinsEqualPublishedFiles(t *testing.T) {
	dir := os.Getenv("TEMPER_DATA")
	if dir == "" {
		t.Skip("TEMPER_DATA is not set: the published config.json files are needed for this test")
	}
	for file, name := range map[string]string{"flash.config.json": "deepseek-v4-flash", "pro.config.json": "deepseek-v4-pro"} {
		data, err := os.ReadFile(filepath.Join(dir, "deepseek-v4", file))
		if err != nil {
			t.Fatal(err)
		}
		c, err := ParseConfig(data)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if d := cmp.Diff(must(t, name), c); d != "" {
			t.Errorf("%s (-built in +published):\n%s", file, d)
		}
	}
}

func TestCountsOfPublishedModels(t *testing.T) {
	for _, tc := range []struct {
		name               string
		total, mtp, active int64
		names, namesMTP    int
	}{
		// The technical report gives 1.6T/49B and 284B/13B; the digits follow from the shapes.
		{"deepseek-v4-pro", 1_572_997_201_763, 25_840_145_979, 48_852_402_019, 142_773, 0},
		{"deepseek-v4-flash", 284_332_240_471, 6_610_048_891, 13_270_101_591, 67_612, 0},
		// 671B main model; the index of the published checkpoint lists 91,991 tensors.
		{"deepseek-v3", 671_026_419_200, 11_610_068_224, 36_625_618_432, 90_427, 91_991},
	} {
		c := must(t, tc.name)
		total, mtp, active := c.Count()
		if total != tc.total || mtp != tc.mtp || (tc.active != 0 && active != tc.active) {
			t.Errorf("%s: Count() = %d, %d, %d, want %d, %d, %d", tc.name, total, mtp, active, tc.total, tc.mtp, tc.active)
		}
		n, all := 0, 0
		for range c.PublishedNames(false) {
			n++
		}
		for range c.PublishedNames(true) {
			all++
		}
		if n != tc.names || (tc.namesMTP != 0 && all != tc.namesMTP) {
			t.Errorf("%s: %d names, %d with MTP, want %d and %d", tc.name, n, all, tc.names, tc.namesMTP)
		}
	}
}
