package hf

import (
	"cmp"
	"fmt"
	"os"
	"slices"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/model/arch"
)

// Summary describes a model for a person or a program; JSON field names are
// stable.
type Summary struct {
	Model      string         `json:"model"`
	Family     arch.Family    `json:"family"`
	Layers     int            `json:"layers"`
	MTPBlocks  int            `json:"mtp_blocks"`
	Attention  map[string]int `json:"attention"` // kind -> layers of the trunk
	HashLayers int            `json:"hash_layers"`
	Hidden     int            `json:"hidden"`
	Vocabulary int            `json:"vocabulary"`
	Experts    int            `json:"experts"`
	TopK       int            `json:"experts_per_token"`

	Parameters struct {
		Total  int64 `json:"total"`  // trunk
		MTP    int64 `json:"mtp"`    // besides
		Active int64 `json:"active"` // of the trunk, per token, without the input embedding
	} `json:"parameters"`
	TrainingBytes map[string]int64   `json:"training_bytes"`  // float32: weights, gradients, muon, adamw, total_muon, total_adamw
	FLOPsPerToken map[string]float64 `json:"flops_per_token"` // by convention, forward and backward, at Sequence tokens
	Sequence      int                `json:"sequence"`

	Stored *StoredSummary `json:"stored,omitempty"` // nil without weight files
	Groups []GroupSummary `json:"groups"`
	Notes  []string       `json:"notes,omitempty"`
}

// StoredSummary describes the weight files.
type StoredSummary struct {
	Names   Style            `json:"names"`
	Files   int              `json:"files"`
	Tensors int              `json:"tensors"`
	Bytes   int64            `json:"bytes"`
	ByDType map[string]int64 `json:"bytes_by_dtype"`
}

// GroupSummary is all parameters of one role and shape, in the trunk or in MTP.
type GroupSummary struct {
	Name      string `json:"name"` // with N for the layer and E for the expert
	Shape     []int  `json:"shape"`
	Count     int    `json:"count"`
	Values    int64  `json:"values"` // of all of them
	DType     string `json:"dtype"`  // in the files, or as published
	Optimizer string `json:"optimizer"`
}

// Inspect summarises the model that ref names: a built-in architecture, a
// config.json, or a directory, whose weight files are then checked as by [Open].
// Operations per token are those of sequences of seq tokens.
func Inspect(ref string, seq int) (*Summary, error) {
	c, err := LoadConfig(ref)
	if err != nil {
		return nil, err
	}
	s := &Summary{Model: ref}
	var source *Source
	if hasWeights(ref) {
		if source, err = Open(ref); err != nil {
			return nil, err
		}
		defer source.Close()
		c, s.Notes = source.Config, source.Notes
		s.Stored = source.summary()
	}
	s.describe(c)
	if err := s.count(c, seq); err != nil {
		return nil, err
	}
	s.Groups = groupUp(c, source)
	return s, nil
}

// hasWeights reports whether ref is a directory with safetensors files.
func hasWeights(ref string) bool {
	entries, err := os.ReadDir(ref)
	return err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool {
		return len(e.Name()) > 12 && (e.Name()[len(e.Name())-12:] == ".safetensors" || e.Name() == "model.safetensors.index.json")
	})
}

func (s *Summary) describe(c *arch.Config) {
	s.Family, s.Layers, s.MTPBlocks, s.HashLayers = c.Family, c.NumLayers, c.NumMTP, c.HashLayers
	s.Hidden, s.Vocabulary, s.Experts, s.TopK = c.HiddenSize, c.VocabSize, c.Experts, c.TopK
	s.Attention = make(map[string]int)
	for l := range c.NumLayers {
		kind := c.Kind(l).String()
		if c.Kind(l) == arch.GQA && c.LayerWindow(l) > 0 {
			kind += " window"
		}
		s.Attention[kind]++
	}
}

func (s *Summary) count(c *arch.Config, seq int) error {
	p := &s.Parameters
	p.Total, p.MTP, p.Active = c.Count()
	muon, adam := c.StateBytes(true), c.StateBytes(false)
	s.TrainingBytes = map[string]int64{
		"weights": muon.Weights, "gradients": muon.Gradients, "muon": muon.Optimizer, "adamw": adam.Optimizer,
		"total_muon": muon.Total(), "total_adamw": adam.Total(),
	}
	s.Sequence, s.FLOPsPerToken = seq, make(map[string]float64)
	for _, by := range []arch.Convention{arch.ByLedger, arch.Megatron, arch.Verl, arch.Torchtitan} {
		f, err := c.FLOPsPerToken(by, seq)
		if err != nil {
			return err
		}
		s.FLOPsPerToken[string(by)] = f
	}
	return nil
}

// summary adds the files up.
func (s *Source) summary() *StoredSummary {
	out := &StoredSummary{Names: s.Style, Files: len(s.dir.Files()), ByDType: make(map[string]int64)}
	for _, f := range s.dir.Files() {
		for _, t := range f.Tensors() {
			out.Tensors++
			out.Bytes += t.Size
			out.ByDType[t.DType.String()] += t.Size
		}
	}
	return out
}

// groupUp folds the table of parameters by role, shape and place.
func groupUp(c *arch.Config, source *Source) []GroupSummary {
	var out []GroupSummary
	at := make(map[string]int)
	tensors := c.Tensors()
	for i := range tensors {
		t := &tensors[i]
		dt := t.DType
		if source != nil {
			if info, ok := source.Stored(t.Name); ok {
				dt = info.DType
			}
		}
		name := pattern(c, t)
		key := fmt.Sprint(name, t.Shape, dt)
		j, ok := at[key]
		if !ok {
			j = len(out)
			at[key] = j
			out = append(out, GroupSummary{Name: name, Shape: t.Shape, DType: storedName(dt), Optimizer: optimizerOf(t)})
		}
		out[j].Count++
		out[j].Values += int64(t.Len())
	}
	return out
}

// pattern is the tensor's name with N for its layer and E for its expert.
func pattern(c *arch.Config, t *arch.Tensor) string {
	name := t.Name
	if t.Layer >= 0 {
		n := t.Layer
		if c.Family == arch.V4 && c.IsMTP(t.Layer) {
			n -= c.NumLayers
		}
		name = replaceNumber(name, n, "N")
	}
	if t.Expert >= 0 {
		name = replaceNumber(name, t.Expert, "E")
	}
	return name
}

// replaceNumber replaces the first path element that is the number.
func replaceNumber(name string, n int, letter string) string {
	element := fmt.Sprintf(".%d.", n)
	for i := 0; i+len(element) <= len(name); i++ {
		if name[i:i+len(element)] == element {
			return name[:i+1] + letter + name[i+len(element)-1:]
		}
	}
	return name
}

func storedName(dt dtype.DType) string {
	if dt == dtype.I8 {
		return "FP4"
	}
	return dt.String()
}

func optimizerOf(t *arch.Tensor) string {
	switch t.Optim {
	case arch.Matrix:
		return "muon"
	case arch.Untrained:
		return "none"
	}
	return "adamw"
}

// Largest returns the differences that are not equal, largest first.
func Largest(all []Difference) []Difference {
	var out []Difference
	for _, d := range all {
		if !d.Equal() {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Difference) int {
		if (a.Problem != "") != (b.Problem != "") {
			return cmp.Compare(len(b.Problem), len(a.Problem))
		}
		return cmp.Compare(b.MaxAbs, a.MaxAbs)
	})
	return out
}
