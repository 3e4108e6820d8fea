package hf

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// match finds the style of the files and the place of every parameter in them.
func (s *Source) match() error {
	style, err := detect(s.Config, s.dir)
	if err != nil {
		return err
	}
	s.Style = style
	s.dropMissingMTP()
	s.tensors = s.Config.Tensors()
	m := &matcher{source: s, used: make(map[string]bool)}
	s.byName = make(map[string]*entry, len(s.tensors))
	for _, g := range groups(s.Config, style) {
		m.group(&g)
	}
	m.leftovers()
	return m.report()
}

// detect tells the style from the names of the output head and the experts.
func detect(c *arch.Config, dir *safetensors.Dir) (Style, error) {
	if c.Family == arch.GPTOSS {
		return "", fmt.Errorf("model_type is %q: temper counts these models and does not read their weight files, which stack and pack the experts; inspect config.json alone", c.Family)
	}
	if !c.Family.Trainable() {
		return Transformers, nil // the published names are those of transformers
	}
	names := dir.Names()
	has := func(name string) bool { _, ok := slices.BinarySearch(names, name); return ok }
	fused := slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, ".experts.gate_up_proj") })
	switch {
	case c.Family == arch.V4 && has("head.weight"), c.Family == arch.V3 && has("lm_head.weight") && !fused:
		return DeepSeek, nil
	case has("lm_head.weight"):
		return Transformers, nil
	}
	return "", fmt.Errorf("no output head under a known name (head.weight, lm_head.weight) among %d tensors such as %q", len(names), names[:min(3, len(names))])
}

// dropMissingMTP turns the model into one without MTP if the files hold none.
func (s *Source) dropMissingMTP() {
	c := s.Config
	if c.NumMTP == 0 {
		return
	}
	prefix := "mtp."
	if c.Family == arch.V3 {
		prefix = fmt.Sprintf("model.layers.%d.", c.NumLayers)
	}
	for _, name := range s.dir.Names() {
		if strings.HasPrefix(name, prefix) {
			return
		}
	}
	s.Notes = append(s.Notes, fmt.Sprintf("config.json announces %d MTP blocks, the files hold none: read as a model without MTP", c.NumMTP))
	if c.Family == arch.V4 {
		c.CompressRatios = c.CompressRatios[:c.NumLayers]
	}
	c.NumMTP = 0
}

// matcher collects what does not fit, to report all of it at once.
type matcher struct {
	source  *Source
	used    map[string]bool
	missing []string
	wrong   []string
	extra   []string
}

// group places all parts of one stored tensor.
func (m *matcher) group(g *group) {
	var info *safetensors.Info
	var file *safetensors.File
	name := g.name
	for _, v := range variants(m.source.Config, g) {
		if i, f, ok := m.source.dir.Lookup(v); ok {
			info, file, name = i, f, v
			break
		}
	}
	if info == nil {
		m.missing = append(m.missing, g.name)
		return
	}
	m.used[name] = true
	scale, err := m.scaleOf(name, info)
	if err == nil {
		err = fits(g, info, scale, m.block())
	}
	if err != nil {
		m.wrong = append(m.wrong, fmt.Sprintf("tensor %q in %s: %v", name, file.Path(), err))
		return
	}
	row := 0
	for _, t := range g.parts {
		m.source.byName[t.Name] = &entry{tensor: t, info: info, file: file, firstRow: row, scale: scale, block: m.block(), experts: m.source.Config.Experts}
		row += t.Rows()
	}
}

// block is the side of the square that shares one FP8 scale.
func (m *matcher) block() int {
	if q := m.source.Config.Quantization; q != nil {
		return q.BlockSize[0]
	}
	return dtype.BlockFP8
}

// scaleOf finds the scales of a quantised tensor.
func (m *matcher) scaleOf(name string, info *safetensors.Info) (*scales, error) {
	base := strings.TrimSuffix(name, ".weight")
	var found *scales
	for _, candidate := range []string{base + ".scale", name + "_scale_inv"} {
		if i, f, ok := m.source.dir.Lookup(candidate); ok && candidate != name {
			m.used[candidate] = true
			found = &scales{i, f}
			break
		}
	}
	quantised := info.DType == dtype.F8E4M3 || info.DType == dtype.I8 || info.DType == dtype.U8
	switch {
	case quantised && found == nil:
		return nil, fmt.Errorf("it is %v and has no %s.scale beside it", info.DType, base)
	case !quantised && found != nil:
		return nil, fmt.Errorf("it is %v, yet there is a scale %q beside it", info.DType, found.info.Name)
	}
	return found, nil
}

// fits holds a stored tensor to the shape and kind that the architecture wants.
func fits(g *group, info *safetensors.Info, scale *scales, block int) error {
	integer := info.DType == dtype.I64 || info.DType == dtype.I32
	if hash := g.parts[0].Role == arch.GateHash; hash != integer {
		return fmt.Errorf("it is %v, want %v", info.DType, g.parts[0].DType)
	}
	want := slices.Clone(g.shape)
	packed := info.DType == dtype.I8 || info.DType == dtype.U8
	if packed {
		want[len(want)-1] /= 2
	}
	if !slices.Equal(info.Shape, want) {
		return fmt.Errorf("its shape is %v, want %v", info.Shape, want)
	}
	switch info.DType {
	case dtype.F64, dtype.F32, dtype.F16, dtype.BF16, dtype.I64, dtype.I32:
		return nil
	case dtype.F8E4M3, dtype.I8, dtype.U8:
		if len(g.shape) != 2 {
			return fmt.Errorf("it is %v of %d dimensions, want 2", info.DType, len(g.shape))
		}
		return scale.fit(g.shape[0], g.shape[1], packed, block)
	}
	return fmt.Errorf("it is %v, which holds no weights", info.DType)
}

// leftovers finds tensors that belong to no parameter.
func (m *matcher) leftovers() {
	for _, name := range m.source.dir.Names() {
		if !m.used[name] && !ignorable(m.source.Config, name) {
			m.extra = append(m.extra, name)
		}
	}
}

// report makes one error of everything that was found, or nil.
func (m *matcher) report() error {
	if len(m.missing)+len(m.wrong)+len(m.extra) == 0 {
		return nil
	}
	var lines []string
	lines = appendSome(lines, m.wrong, func(s string) string { return s })
	lines = appendSome(lines, m.missing, func(s string) string {
		return fmt.Sprintf("tensor %q is missing%s", s, didYouMean(s, m.extra))
	})
	lines = appendSome(lines, m.extra, func(s string) string {
		return fmt.Sprintf("tensor %q belongs to no parameter%s", s, didYouMean(s, m.missing))
	})
	return errors.New(strings.Join(lines, "\n  "))
}

// appendSome adds the first few items as lines and counts the rest.
func appendSome(lines, items []string, line func(string) string) []string {
	const few = 8
	for i, s := range items {
		if i == few {
			return append(lines, fmt.Sprintf("and %d more like it", len(items)-few))
		}
		lines = append(lines, line(s))
	}
	return lines
}

func didYouMean(name string, candidates []string) string {
	const most = 5000 // beyond that a hint is not worth its time
	if near := arch.Nearest(name, candidates[:min(len(candidates), most)]); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}
