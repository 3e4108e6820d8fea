package measured

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"

	"github.com/goccy/go-yaml"
)

//go:embed published.yaml
var publishedYAML []byte

// published is one embedded row.
type published struct {
	Name    string
	Source  string
	Grade   string
	Held    bool
	Model   string
	Machine string
	Engine  string
	Devices int
	Layout  struct {
		TP, PP, EP, DP int
		VPP            int
	}
	Schedule        string
	GlobalBatch     int `yaml:"global_batch"`
	MicroBatch      int `yaml:"micro_batch"`
	Seq             int
	DType           string `yaml:"dtype"`
	Scaling         string
	Zero            int
	Offload         string
	Recompute       string
	Routing         string
	Seconds         float64
	TokensPerSecond float64 `yaml:"tokens_per_second"`
	TeraFLOPs       float64 `yaml:"teraflops"`
	MemoryBytes     float64 `yaml:"memory_bytes"`
	MemoryKind      string  `yaml:"memory_kind"`
	Assumed         []string
}

// Published returns the embedded rows: published steps that no CSV file holds.
func Published() ([]Case, error) {
	var rows []published
	if err := yaml.NewDecoder(bytes.NewReader(publishedYAML), yaml.Strict()).Decode(&rows); err != nil {
		return nil, fmt.Errorf("measured: published.yaml: %s", yaml.FormatError(err, false, true))
	}
	cases := make([]Case, 0, len(rows))
	for i := range rows {
		c, err := rows[i].resolve()
		if err != nil {
			return nil, fmt.Errorf("measured: published.yaml: %s: %w", rows[i].Name, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// resolve is the row as a case, held to the same rules as a line of a file.
func (p *published) resolve() (Case, error) {
	c := Case{
		Position: p.Name, Source: p.Source, Grade: p.Grade, Model: p.Model, Device: p.Machine, Devices: p.Devices,
		TP: p.Layout.TP, PP: p.Layout.PP, DP: p.Layout.DP, EP: p.Layout.EP, CP: 1, ETP: 1, Chunks: p.Layout.VPP,
		MicroBatch: p.MicroBatch, GlobalBatch: p.GlobalBatch, Seq: p.Seq,
		Schedule: p.Schedule, Recompute: p.Recompute, Routing: p.Routing, DType: p.DType, Scaling: p.Scaling,
		Zero: p.Zero, Offload: p.Offload, Engine: p.Engine, Optimizer: "adamw", Assumed: slices.Clone(p.Assumed),
		Held: p.Held, Memory: p.MemoryBytes, MemoryKind: MemoryKind(p.MemoryKind),
	}
	if c.Offload == "" {
		c.Offload = "none"
	}
	if !slices.Contains([]string{"official", "third-party", "memory", "measured"}, p.Grade) {
		return Case{}, fmt.Errorf("grade: %q, want official, third-party, memory or measured", p.Grade)
	}
	if err := c.check(); err != nil {
		return Case{}, err
	}
	c.System = systemName(&c)
	tokens := float64(c.GlobalBatch) * float64(c.Seq)
	switch {
	case p.Seconds > 0 && p.TokensPerSecond == 0 && p.TeraFLOPs == 0:
		c.Seconds = p.Seconds
	case p.TokensPerSecond > 0 && p.Seconds == 0 && p.TeraFLOPs == 0:
		c.Seconds = tokens / (p.TokensPerSecond * float64(c.Devices))
	case p.TeraFLOPs > 0 && p.Seconds == 0 && p.TokensPerSecond == 0:
		c.TeraFLOPs = p.TeraFLOPs
	default:
		return Case{}, fmt.Errorf("seconds, tokens_per_second, teraflops: want exactly one")
	}
	return c, nil
}
