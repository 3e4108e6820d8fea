package measured

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/model/arch"
)

// Case is a measured training step with everything that a prediction needs:
// what ran, on what, in which layout, and what came out. It says nothing that
// its row did not, except by the rules of this file, which name in Assumed
// each field that a row left open.
type Case struct {
	Position string // file:line, or the name of an embedded row
	Source   string
	Grade    string // official, third-party, memory, measured: how well the source is known
	Held     bool   // shown beside its prediction, but neither fitted nor counted
	System   string // source and machine: the rows left out together in cross-validation

	// Arch and Machine, where set, are used instead of the names below.
	Arch    *arch.Config
	Machine *hardware.Cluster

	Model   string // built-in name
	Layers  int    // 0: all; otherwise the model was cut down to so many
	KVHeads int    // 0: the model's; otherwise as its source describes it
	Device  string // the machine as the publication names it
	Network string // its scale-out as the publication names it; "" is the machine's usual one
	Devices int

	TP, PP, DP, EP, CP, ETP, Chunks int
	MicroBatch, GlobalBatch, Seq    int
	Schedule, Recompute, Routing    string
	DType                           string // bf16, fp16, fp8
	Scaling                         string // of fp8: tensorwise, rowwise, blockwise
	Zero                            int    // ZeRO stage: 0 to 3
	Engine                          string
	AsyncTP                         bool
	Optimizer, Offload              string

	Seconds    float64 // measured step; 0: to be derived from TeraFLOPs
	TeraFLOPs  float64 // of a device, recomputation counted; 0: not given
	Memory     float64 // measured peak, bytes; 0: not measured
	MemoryKind MemoryKind
	Steps      int     // that the time is the median of; 0: not said
	Logged     float64 // TFLOP/s of a device as the run's own log counts them; 0: not logged

	Assumed []string // field: rule, for each field that the row left open
	Remarks []string // phrases of the notes that mean nothing to the prediction
}

// MemoryKind is what a measured memory counts.
type MemoryKind string

// The two ways in which the allocator of a framework reports its peak.
const (
	Allocated MemoryKind = "allocated" // bytes in live tensors
	Reserved  MemoryKind = "reserved"  // bytes taken from the device, fragmentation included
)

// Cases resolves rows, in order. The first row that cannot be resolved is the
// error, with its position.
func Cases(rows []Row) ([]Case, error) {
	cases := make([]Case, 0, len(rows))
	for i := range rows {
		c, err := rows[i].Case()
		if err != nil {
			return nil, err
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// Case resolves a row by rules that are the same for all rows of all files.
func (r *Row) Case() (Case, error) {
	c := Case{
		Position: r.Position(), Source: r.Source, Grade: "official", Device: r.Device, Devices: r.Devices,
		TP: r.TP, PP: r.PP, DP: r.DP, EP: r.EP, CP: r.CP, ETP: 1,
		GlobalBatch: r.GlobalBatch, Seq: r.Seq, Routing: "balanced", Optimizer: "adamw", Offload: "none",
		MemoryKind: Reserved, Memory: r.MemoryGiB * (1 << 30),
	}
	steps := []func(*Case) error{r.model, r.engine, r.notes, r.precision, r.sharding, r.recompute, r.pipeline, r.layout, r.measured}
	for _, step := range steps {
		if err := step(&c); err != nil {
			return Case{}, fmt.Errorf("measured: %s: %w", r.Position(), err)
		}
	}
	c.System = systemName(&c)
	return c, nil
}

// assume records a field that the row left open and the rule that filled it.
func (c *Case) assume(field, rule string, args ...any) {
	c.Assumed = append(c.Assumed, field+": "+fmt.Sprintf(rule, args...))
}

var cutDown = regexp.MustCompile(`^(.*?)\s*\(\s*(\d+)\s+layers?\s*\)$`)

// model reads "llama3-70b(12 layers)" as a built-in name and a number of layers.
func (r *Row) model(c *Case) error {
	name := r.Model
	if m := cutDown.FindStringSubmatch(name); m != nil {
		name = m[1]
		n, err := strconv.Atoi(m[2])
		if err != nil || n < 1 {
			return fmt.Errorf("model: %q layers, want at least 1", m[2])
		}
		if r.Layers != 0 && r.Layers != n {
			return fmt.Errorf("layers: %d, but the model's name says %d", r.Layers, n)
		}
		c.Layers = n
		c.assume("model", "cut down to a number of layers: of experts all but one layer in front, without an MTP block")
	}
	name = strings.ToLower(name)
	if known, ok := modelNames[name]; ok {
		name = known
	}
	c.Model = name
	if strings.Contains(r.Source, "SimuMax") && name == "llama3.1-405b" {
		c.KVHeads = 16
		c.assume("model", "the source describes Llama 3.1 405B as first published, with 16 key-value heads")
	}
	return nil
}

// modelNames gives publications' spellings the built-in names.
var modelNames = map[string]string{
	"deepseekv2":  "deepseek-v2",
	"deepseekv3":  "deepseek-v3",
	"gpt-175b":    "gpt3-175b",
	"llama3-405b": "llama3.1-405b",
}

// engine is told by the source; a note "engine NAME" overrides it.
func (r *Row) engine(c *Case) error {
	source := strings.ToLower(r.Source)
	switch {
	case strings.Contains(source, "torchtitan") && strings.Contains(source, "202412"):
		c.Engine = "torchtitan-2024"
	case strings.Contains(source, "torchtitan"):
		c.Engine = "torchtitan"
	case strings.Contains(source, "vtrain"):
		c.Engine = "megatron-2021"
	case strings.Contains(source, "simumax"):
		c.Engine = "megatron"
	default:
		c.assume("engine", "not said by the source: the machine's usual one")
	}
	return nil
}

// precision separates number format and scaling.
func (r *Row) precision(c *Case) error {
	format, scaling, _ := strings.Cut(strings.ToLower(r.Precision), "-")
	switch {
	case format == "float8" || format == "fp8":
		c.DType, c.Scaling = "fp8", scaling
		if scaling == "" {
			c.Scaling = "tensorwise"
			c.assume("precision", "fp8 without a recipe: scaled per tensor")
		}
		if !slices.Contains([]string{"tensorwise", "rowwise", "blockwise"}, c.Scaling) {
			return fmt.Errorf("precision: scaling %q, want tensorwise, rowwise or blockwise", scaling)
		}
	case scaling == "" && slices.Contains([]string{"bf16", "fp16", "mxfp8"}, format):
		c.DType = format
	default:
		return fmt.Errorf("precision: %q, want bf16, fp16, mxfp8, or float8 with -tensorwise, -rowwise or -blockwise", r.Precision)
	}
	return nil
}

// sharding is the ZeRO stage.
func (r *Row) sharding(c *Case) error {
	switch strings.ToLower(r.Sharding) {
	case "fsdp2", "fsdp", "zero3":
		c.Zero = 3
	case "zero2":
		c.Zero = 2
	case "distopt(zero1)", "distopt", "zero1":
		c.Zero = 1
	case "none", "zero0":
		c.Zero = 0
	case "none/zero?":
		c.assume("sharding", "none or ZeRO: none, the default of the engine")
	default:
		return fmt.Errorf("sharding: %q, want none, zero1, zero2, zero3, distopt or FSDP2", r.Sharding)
	}
	return nil
}

// recompute maps the names that engines give to the three choices.
func (r *Row) recompute(c *Case) error {
	switch s := strings.ToLower(r.Recompute); s {
	case "none", "selective", "full":
		c.Recompute = s
	case "full(use_checkpoint=true)":
		c.Recompute = "full"
	case "per-op sac":
		c.Recompute = "selective"
	default:
		return fmt.Errorf("recompute: %q, want none, selective or full", r.Recompute)
	}
	return nil
}

// ModelName is the model with the number of layers that it was cut down to.
func (c *Case) ModelName() string {
	if c.Layers == 0 {
		return c.Model
	}
	return fmt.Sprintf("%s (%d layers)", c.Model, c.Layers)
}

// Format is the number format with its scaling.
func (c *Case) Format() string {
	if c.Scaling == "" {
		return c.DType
	}
	return c.DType + " " + c.Scaling
}

// LayoutText is the case's layout as temper plan --layout takes it.
func (c *Case) LayoutText() string {
	s := fmt.Sprintf("tp=%d,pp=%d,dp=%d", c.TP, c.PP, c.DP)
	for _, x := range []struct {
		name  string
		value int
	}{{"cp", c.CP}, {"ep", c.EP}, {"vpp", c.Chunks}} {
		if x.value > 1 {
			s += fmt.Sprintf(",%s=%d", x.name, x.value)
		}
	}
	return s
}
