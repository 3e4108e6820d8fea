package audit

import (
	"embed"
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/temper-ml/temper/internal/config"
)

// A Claim is what was said about one training run.
type Claim struct {
	Name       string      `yaml:"name"`
	Title      string      `yaml:"title"`
	Source     string      `yaml:"source"`
	Notes      []string    `yaml:"notes"`
	Statements []Statement `yaml:"statements"`
}

// A Statement is one thing that was said, and the quantities in it. A quantity is
// text as kind.parse reads it; empty is unsaid.
type Statement struct {
	ID     string `yaml:"id"`
	Text   string `yaml:"text"`
	Quote  string `yaml:"quote"`
	Source string `yaml:"source"`

	Model    string `yaml:"model"`    // a name that the auditor knows
	Hardware string `yaml:"hardware"` // an entry of the catalogue
	Method   string `yaml:"method"`   // full-parameter or adapter
	DType    string `yaml:"dtype"`    // of the matrix products
	Offload  string `yaml:"offload"`  // none or host: where state may live besides device memory
	Against  string `yaml:"against"`  // what relative_performance compares with
	In       string `yaml:"in"`       // what it was measured in: training or inference
	Seq      int    `yaml:"seq"`      // tokens of a row

	Parameters  string `yaml:"parameters"`
	Active      string `yaml:"active_parameters"`
	Devices     string `yaml:"devices"`
	Tokens      string `yaml:"tokens"`
	Steps       string `yaml:"steps"`
	Batch       string `yaml:"batch_tokens"`
	StepTime    string `yaml:"step_time"`
	MFU         string `yaml:"mfu"`
	Achieved    string `yaml:"achieved"`
	Speed       string `yaml:"tokens_per_second"`
	DeviceSpeed string `yaml:"tokens_per_second_per_device"`
	Goodput     string `yaml:"goodput"`
	Duration    string `yaml:"duration"`
	DeviceHours string `yaml:"device_hours"`
	HoursPerT   string `yaml:"device_hours_per_trillion_tokens"`
	TimePerT    string `yaml:"duration_per_trillion_tokens"`
	Cost        string `yaml:"cost"`
	Price       string `yaml:"price"`
	Incidents   string `yaml:"incidents"`
	State       string `yaml:"state_per_parameter"`
	Pretraining string `yaml:"pretraining_tokens"`
	Share       string `yaml:"share_of_pretraining"`
	Relative    string `yaml:"relative_performance"`

	Discloses map[string]string `yaml:"discloses"` // topic -> what was published about it, and where
}

// said is one quantity of a statement.
type said struct {
	field string // in the file
	of    variable
	kind  *kind
	text  string
}

// quantities lists what the statement says, in the order of the fields.
func (s *Statement) quantities() []said {
	var out []said
	for _, q := range []said{
		{"parameters", vParameters, counted, s.Parameters},
		{"active_parameters", vActive, counted, s.Active},
		{"devices", vDevices, devices, s.Devices},
		{"tokens", vTokens, counted, s.Tokens},
		{"steps", vSteps, steps, s.Steps},
		{"batch_tokens", vBatch, counted, s.Batch},
		{"step_time", vStepTime, seconds, s.StepTime},
		{"mfu", vMFU, share, s.MFU},
		{"achieved", vRate, flops, s.Achieved},
		{"tokens_per_second", vSpeed, rate, s.Speed},
		{"tokens_per_second_per_device", vTokenRate, rate, s.DeviceSpeed},
		{"goodput", vGoodput, share, s.Goodput},
		{"duration", vDuration, seconds, s.Duration},
		{"device_hours", vDeviceTime, hours, s.DeviceHours},
		{"device_hours_per_trillion_tokens", vMeanRate, hoursPerT, s.HoursPerT},
		{"duration_per_trillion_tokens", vMeanSpeed, timePerT, s.TimePerT},
		{"cost", vCost, money, s.Cost},
		{"price", vPrice, price, s.Price},
		{"incidents", vIncidents, tally, s.Incidents},
		{"state_per_parameter", vStatePer, byteSize, s.State},
		{"pretraining_tokens", vPreTokens, counted, s.Pretraining},
		{"share_of_pretraining", vShare, share, s.Share},
		{"relative_performance", vRelative, share, s.Relative},
	} {
		if q.text != "" {
			out = append(out, q)
		}
	}
	return out
}

// mostStatements bounds a claim: sets of statements are bits of a word.
const mostStatements = 48

var plainID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// Check refuses a claim that is incomplete, unclear or about several runs.
func (c *Claim) Check() error {
	if !plainID.MatchString(c.Name) {
		return config.Bad("name", "%.60q must be lower-case letters, digits and dashes, at most 40", c.Name)
	}
	if n := len(c.Statements); n == 0 || n > mostStatements {
		return config.Bad("statements", "there are %d, must be 1 to %d", n, mostStatements)
	}
	ids := map[string]bool{}
	one := map[string]string{}
	currency := ""
	for i := range c.Statements {
		s, at := &c.Statements[i], fmt.Sprintf("statements[%d]", i)
		switch {
		case !plainID.MatchString(s.ID):
			return config.Bad(at+".id", "%.60q must be lower-case letters, digits and dashes, at most 40", s.ID)
		case ids[s.ID]:
			return config.Bad(at+".id", "%q is there twice", s.ID)
		case s.Text == "" && s.Quote == "":
			return config.Bad(at+".text", "text or quote must say what was said")
		case s.Source == "" && c.Source == "":
			return config.Bad(at+".source", "who said it is missing, here and for the whole claim")
		}
		ids[s.ID] = true
		if err := s.check(at, one); err != nil {
			return err
		}
		for _, q := range s.quantities() {
			_, unit, err := q.kind.parse(q.text)
			if err != nil {
				return config.Bad(at+"."+q.field, "%s", err.Error())
			}
			if q.kind == money || q.kind == price {
				unit = strings.TrimSuffix(unit, "/h")
				if currency != "" && unit != currency {
					return config.Bad(at+"."+q.field, "%s, but another statement is in %s: convert one", unit, currency)
				}
				currency = unit
			}
		}
	}
	return nil
}

// check looks at what is not a quantity; one has what other statements said.
func (s *Statement) check(at string, one map[string]string) error {
	for _, w := range []struct {
		field, value string
		legal        []string
	}{
		{"model", s.Model, nil},
		{"hardware", s.Hardware, nil},
		{"method", s.Method, []string{"full-parameter", "adapter"}},
		{"dtype", s.DType, []string{"bf16", "fp16", "fp8", "mxfp8", "fp32"}},
		{"offload", s.Offload, []string{"none", "host"}},
		{"in", s.In, []string{"training", "inference"}},
		{"against", s.Against, nil},
		{"seq", positive(s.Seq), nil},
	} {
		if w.value == "" {
			continue
		}
		if w.legal != nil && !slices.Contains(w.legal, w.value) {
			return config.Bad(at+"."+w.field, "%.40q is none of %s", w.value, strings.Join(w.legal, ", "))
		}
		if before := one[w.field]; before != "" && before != w.value {
			return config.Bad(at+"."+w.field, "%.40q, but another statement says %.40q: a claim file is about one run", w.value, before)
		}
		one[w.field] = w.value
	}
	if s.Seq < 0 || s.Seq > 1<<20 {
		return config.Bad(at+".seq", "%d is outside [1, %d]", s.Seq, 1<<20)
	}
	if s.Relative != "" && s.Against == "" {
		return config.Bad(at+".relative_performance", "against what is missing: say against: h100")
	}
	for topic, text := range s.Discloses {
		if !slices.Contains(topicNames(), topic) {
			return config.Bad(at+".discloses", "topic %.40q is none of %s", topic, strings.Join(topicNames(), ", "))
		}
		if text == "" {
			return config.Bad(at+".discloses", "what was published about %s is missing", topic)
		}
	}
	return nil
}

func positive(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

//go:embed claims/*.yaml
var builtin embed.FS

// Template is a claim file with every field, explained.
//
//go:embed template.yaml
var Template string

// Builtins lists the claims that come with temper.
func Builtins() []string {
	entries, _ := builtin.ReadDir("claims") // of an embedded folder: cannot fail
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Load reads a built-in claim or a file.
func Load(name string) (*Claim, error) {
	if slices.Contains(Builtins(), name) {
		src, err := builtin.ReadFile(path.Join("claims", name+".yaml"))
		if err != nil {
			return nil, err
		}
		return Decode(src, name+".yaml")
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, fmt.Errorf("claim %s: %w; built in are %s", name, err, strings.Join(Builtins(), ", "))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("claim %s is no regular file", name)
	case info.Size() > config.MostBytes:
		return nil, fmt.Errorf("claim %s: %d bytes, at most %d are read", name, info.Size(), config.MostBytes)
	}
	src, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return Decode(src, name)
}

// Decode reads a claim strictly: errors have file, line and column.
func Decode(src []byte, name string) (*Claim, error) {
	c := new(Claim)
	if err := config.Decode(src, name, c); err != nil {
		return nil, err
	}
	return c, nil
}
