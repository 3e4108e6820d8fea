package opd

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/temper-ml/temper/compute/kernel"
)

const section = `
teachers:
  - {name: maths, load: a, where: {domain: [algebra, 7, true]}}
  - {name: safety, load: b, weight: 0.5, where: {domain: harm}, files: [x.jsonl]}
`

func decode(t *testing.T, text string) Config {
	t.Helper()
	c := Default()
	if err := yaml.UnmarshalWithOptions([]byte(text), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return c
}

// What is left out has its default, and what is printed is read as the same.
func TestConfigIsRead(t *testing.T) {
	c := decode(t, section)
	if err := c.Check([]string{"x.jsonl", "y.jsonl"}); err != nil {
		t.Fatal(err)
	}
	if a := c.Teachers[0]; a.Weight != 1 || !slices.Equal(a.Where["domain"], []string{"algebra", "7", "true"}) {
		t.Errorf("the first teacher is %+v", a)
	}
	if b := c.Teachers[1]; b.Weight != .5 || !slices.Equal(b.Where["domain"], []string{"harm"}) {
		t.Errorf("the second teacher is %+v", b)
	}
	text, err := yaml.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	if again := decode(t, string(text)); fmt.Sprint(again) != fmt.Sprint(c) {
		t.Errorf("printed and read again it is %+v, want %+v", again, c)
	}
	for name, want := range map[string]kernel.Divergence{
		"{divergence: forward}": {Kind: kernel.DivergenceForward}, "{divergence: top-k, k: 5}": {Kind: kernel.DivergenceTopK, K: 5},
		"{divergence: jensen-shannon, beta: 0.5}": {Kind: kernel.DivergenceJensenShannon, Beta: .5}, "{}": {},
	} {
		c := decode(t, name)
		if got, err := c.Measure(); err != nil || got != want {
			t.Errorf("%s is %+v, %v", name, got, err)
		}
	}
	for _, bad := range []string{"{teachers: [{name: a, load: b, where: {x: {y: 1}}}]}", "{teachers: [{name: a, load: b, where: {x: [[1]]}}]}", "{teachers: [{name: a, lode: b}]}"} {
		if err := yaml.UnmarshalWithOptions([]byte(bad), new(Config), yaml.Strict()); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, spoil := range map[string]func(c *Config){
		"teachers: empty":              func(c *Config) { c.Teachers = nil },
		`teachers[1].name: "maths" is`: func(c *Config) { c.Teachers[1].Name = "maths" },
		`teachers[0].name: "a/b"`:      func(c *Config) { c.Teachers[0].Name = "a/b" },
		`teachers[0].load: missing`:    func(c *Config) { c.Teachers[0].Load = "" },
		`teachers[1].weight: 0 is`:     func(c *Config) { c.Teachers[1].Weight = 0 },
		`teachers[1].weight: NaN`:      func(c *Config) { c.Teachers[1].Weight = math.NaN() },
		`teachers[1].weight: 2e+06`:    func(c *Config) { c.Teachers[1].Weight = 2e6 },
		`teachers[0].where: "domain"`:  func(c *Config) { c.Teachers[0].Where["domain"] = nil },
		`teachers[1].files: "z" is no`: func(c *Config) { c.Teachers[1].Files = []string{"z"} },
		`divergence: "kl" is not`:      func(c *Config) { c.Divergence = "kl" },
		"k: k of top-k is 0":           func(c *Config) { c.Divergence = "top-k" },
		"beta: beta is 0.5":            func(c *Config) { c.Beta = .5 },
		"entropy: -1 is outside":       func(c *Config) { c.Entropy = -1 },
		"tokens: 0 is outside":         func(c *Config) { c.Tokens = 0 },
		"ahead: 0 is outside":          func(c *Config) { c.Ahead = 0 },
		"memory_mib: -1 is outside":    func(c *Config) { c.MemoryMiB = -1 },
	} {
		c := decode(t, section)
		spoil(&c)
		if err := c.Check([]string{"x.jsonl"}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A row has the teachers that ask for it, and one that nobody asks for is told why.
func TestShares(t *testing.T) {
	c := decode(t, section)
	for row, want := range map[string]string{
		`{"domain": "algebra"}`: "[{0 1}]",
		`{"domain": 7}`:         "[{0 1}]",
		`{"domain": true}`:      "[{0 1}]",
		`{"domain": "harm"}`:    "[{1 0.5}]",
		`{"domain": "law"}`:     `no teacher for it: its domain is "law", its file is x.jsonl`,
		`{"domain": null}`:      "no teacher for it: its domain is null",
		`{"domain": ["harm"]}`:  `no teacher for it: its domain is ["harm"]`,
		`{}`:                    "no teacher for it: its domain is missing",
	} {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(row), &fields); err != nil {
			t.Fatal(err)
		}
		shares, err := c.Shares("x.jsonl", fields)
		if got := fmt.Sprint(shares, err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", row, got, want)
		}
	}
	if _, err := c.Shares("y.jsonl", map[string]json.RawMessage{"domain": json.RawMessage(`"harm"`)}); err == nil {
		t.Error("a row of another file is taken")
	}
	c.Teachers[0].Where, c.Teachers[1].Where = nil, nil
	if got, err := c.Shares("x.jsonl", nil); err != nil || fmt.Sprint(got) != "[{0 1} {1 0.5}]" {
		t.Errorf("%v, %v, want both", got, err)
	}
}
