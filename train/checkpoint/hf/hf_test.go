package hf

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// small is a V4 with every kind of layer, whose matrices do not fit scale blocks.
func small() *arch.Config {
	c := arch.TinyV4(40)
	c.HiddenSize, c.MoEIntermediate, c.Experts = 160, 32, 4
	return c
}

func smallV3() *arch.Config {
	c, err := arch.Builtin("deepseek-v3")
	if err != nil {
		panic(err)
	}
	c.VocabSize, c.HiddenSize, c.NumLayers, c.DenseLayers = 40, 64, 2, 1
	c.NumHeads, c.NumKVHeads, c.NopeDim, c.RopeDim, c.ValueDim = 2, 2, 16, 8, 16
	c.QLoraRank, c.KVLoraRank, c.IntermediateSize, c.MoEIntermediate = 32, 32, 96, 32
	c.Experts, c.TopK, c.ExpertGroups, c.TopKGroups = 8, 2, 4, 2
	return c
}

// valuer gives the elements of a parameter: bfloat16 numbers, so that BF16 loses
// nothing, that differ from parameter to parameter.
func valuer(c *arch.Config, t *arch.Tensor) func(i int) float32 {
	key := detrand.Key(1, t.Name).Uint64At(0)
	return func(i int) float32 {
		h := (key + uint64(i)) * 0x9e3779b97f4a7c15
		h ^= h >> 29
		if t.Role == arch.GateHash {
			return float32(h % uint64(c.Experts))
		}
		return dtype.BF16ToF32(uint16(h)&0x8fff | 0x3000) // about 2^-31 to 2
	}
}

func filler(c *arch.Config) Fill {
	return func(t *arch.Tensor, row, rows int, dst []float32) error {
		at := valuer(c, t)
		for i := range dst {
			dst[i] = at(row*t.Cols() + i)
		}
		return nil
	}
}

func write(t *testing.T, c *arch.Config, o Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := Write(durabletest.NoSync(durable.OS), dir, c, o, filler(c)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, dir string) *Source {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// verify loads everything and compares every value.
func verify(t *testing.T, s *Source, c *arch.Config) {
	t.Helper()
	got := make(map[string][]float32)
	if err := s.Load(func(x *arch.Tensor) ([]float32, error) {
		got[x.Name] = make([]float32, x.Len())
		return got[x.Name], nil
	}); err != nil {
		t.Fatal(err)
	}
	tensors := s.Config.Tensors()
	if len(got) != len(tensors) {
		t.Errorf("%d parameters, want %d", len(got), len(tensors))
	}
	for i := range tensors {
		x := &tensors[i]
		at := valuer(c, x)
		for j, v := range got[x.Name] {
			if want := at(j); math.Float32bits(v) != math.Float32bits(want) {
				t.Errorf("%s[%d] = %g, want %g", x.Name, j, v, want)
				break
			}
		}
	}
}

func TestRoundTripInEveryForm(t *testing.T) {
	for name, c := range map[string]*arch.Config{"v4": small(), "v3": smallV3()} {
		for _, style := range []Style{DeepSeek, Transformers} {
			for _, dt := range []dtype.DType{dtype.F32, dtype.BF16} {
				for _, shard := range []int64{0, 200_000} {
					t.Run(fmt.Sprint(name, style, dt, shard), func(t *testing.T) {
						dir := write(t, c, Options{DType: dt, Style: style, MaxShard: shard})
						s := open(t, dir)
						verify(t, s, c)
						if shard != 0 && len(s.Files()) < 2 {
							t.Errorf("%d files", len(s.Files()))
						}
						if len(s.Notes) != 0 {
							t.Errorf("notes: %v", s.Notes)
						}
					})
				}
			}
		}
	}
}

// Transformers fuses the experts; the layout is checked value by value.
func TestTransformersLayoutOfExperts(t *testing.T) {
	c := small()
	s := open(t, write(t, c, Options{DType: dtype.F32, Style: Transformers}))
	if s.Style != Transformers {
		t.Fatalf("style %q", s.Style)
	}
	d, err := safetensors.OpenDir(s.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const name = "model.layers.1.mlp.experts.gate_up_proj"
	info, f, ok := d.Lookup(name)
	if !ok || !cmp.Equal(info.Shape, []int{c.Experts, 2 * c.MoEIntermediate, c.HiddenSize}) {
		t.Fatalf("%s: %+v", name, info)
	}
	for e := range c.Experts {
		for half, w := range []string{"w1", "w3"} { // gate above up
			var b [4]byte
			row := (e*2+half)*c.MoEIntermediate + 5
			if err := f.ReadAt(info, b[:], int64(row*c.HiddenSize+7)*4); err != nil {
				t.Fatal(err)
			}
			got := math.Float32frombits(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24)
			x := &arch.Tensor{Name: fmt.Sprintf("layers.1.ffn.experts.%d.%s.weight", e, w)}
			if want := valuer(c, x)(5*c.HiddenSize + 7); got != want {
				t.Errorf("expert %d %s: %g, want %g", e, w, got, want)
			}
		}
	}
	for _, want := range []string{
		"model.layers.1.self_attn.compressor.indexer.q_b_proj.weight", "model.layers.0.mlp.gate.tid2eid",
		"model.hc_head.hc_fn", "lm_head.weight", "model.layers.2.self_attn.sinks", "model.layers.3.mlp.gate.e_score_correction_bias",
	} {
		if _, _, ok := d.Lookup(want); !ok {
			t.Errorf("no tensor %q", want)
		}
	}
}

func TestConvertAndDiff(t *testing.T) {
	c := small()
	a := open(t, write(t, c, Options{DType: dtype.F32, Files: map[string][]byte{"tokenizer.json": []byte("{}")}}))
	dir := filepath.Join(t.TempDir(), "out")
	if err := Convert(t.Context(), durable.OS, dir, a, Options{Style: Transformers, MaxShard: 500_000}); err != nil {
		t.Fatal(err)
	}
	b := open(t, dir)
	verify(t, b, c)
	if text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json")); err != nil || string(text) != "{}" {
		t.Errorf("tokenizer.json: %q, %v", text, err)
	}
	if b.Config.TorchDType != "bfloat16" || a.Config.TorchDType != "float32" {
		t.Errorf("torch_dtype %q and %q", a.Config.TorchDType, b.Config.TorchDType)
	}
	diffs, err := Diff(t.Context(), a, b)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range diffs {
		if !d.Equal() {
			t.Errorf("%+v", d)
		}
	}
	other := filepath.Join(t.TempDir(), "other")
	err = Write(durable.OS, other, c, Options{DType: dtype.F32}, func(x *arch.Tensor, row, rows int, dst []float32) error {
		_ = filler(c)(x, row, rows, dst)
		if x.Name == "norm.weight" {
			dst[3] = float32(math.NaN())
		}
		if x.Name == "embed.weight" && row == 0 {
			dst[11] += 0.5
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diffs, err = Diff(t.Context(), a, open(t, other))
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	for _, d := range diffs {
		if !d.Equal() {
			changed = append(changed, fmt.Sprintf("%s %d at %d", d.Name, d.Differ, d.At))
		}
	}
	if d := cmp.Diff([]string{"embed.weight 1 at 11", "norm.weight 1 at 3"}, changed); d != "" {
		t.Error(d)
	}
}

// A quantised checkpoint, as published: FP8 blocks with E8M0 or F32 scales and
// packed FP4 experts. No weight may be lost or scaled by its neighbour's scale.
func TestReadsQuantisedCheckpoints(t *testing.T) {
	for _, tc := range []struct {
		name   string
		c      *arch.Config
		fp4    bool
		scales dtype.DType
	}{{"v4 fp4", small(), true, dtype.F8E8M0}, {"v4 base", small(), false, dtype.F32}, {"v3", smallV3(), false, dtype.F32}} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.c
			c.Quantization = &arch.Quantization{Method: "fp8", Format: "e4m3", ActivationScheme: "dynamic", BlockSize: []int{128, 128}}
			if tc.scales == dtype.F8E8M0 {
				c.Quantization.ScaleFormat = "ue8m0"
			}
			if tc.fp4 {
				c.ExpertDType = "fp4"
			}
			dir, want := writeQuantised(t, c)
			s := open(t, dir)
			for i := range s.tensors {
				x := &s.tensors[i]
				got := make([]float32, x.Len())
				if err := s.Read(x.Name, got); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(want[x.Name], got) {
					t.Fatalf("%s differs: %v...", x.Name, cmp.Diff(want[x.Name][:8], got[:8]))
				}
			}
			out := filepath.Join(t.TempDir(), "plain")
			if err := Convert(t.Context(), durable.OS, out, s, Options{DType: dtype.F32}); err != nil {
				t.Fatal(err)
			}
			plain := open(t, out)
			if plain.Config.Quantization != nil {
				t.Error("the copy still claims to be quantised")
			}
			diffs, err := Diff(t.Context(), s, plain)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range diffs {
				if !d.Equal() {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

// writeQuantised writes the published form and returns the values it stands for.
func writeQuantised(t *testing.T, c *arch.Config) (string, map[string][]float32) {
	t.Helper()
	want := make(map[string][]float32)
	var specs []safetensors.Spec
	data := make(map[string][]byte)
	byName := make(map[string]*arch.Tensor)
	tensors := c.Tensors()
	for i := range tensors {
		byName[tensors[i].Name] = &tensors[i]
	}
	for st := range c.Published(true) {
		spec := safetensors.Spec{Name: st.Name, DType: st.DType, Shape: st.Shape}
		specs = append(specs, spec)
		if st.Scale {
			continue // made with its weight
		}
		x := byName[st.Of]
		values := make([]float32, x.Len())
		_ = filler(c)(x, 0, x.Rows(), values)
		out := make([]float32, x.Len())
		rows, cols := x.Rows(), x.Cols()
		switch st.DType {
		case dtype.I8:
			packed, scale := make([]byte, rows*cols/2), make([]byte, rows*cols/32)
			dtype.QuantFP4(packed, scale, values, rows, cols)
			// The reference: nibble by nibble, low first.
			for j := range out {
				code := packed[j/2] >> (4 * (j % 2)) & 15
				out[j] = dtype.E2M1ToF32(code) * dtype.E8M0ToF32(scale[j/cols*(cols/32)+j%cols/32])
			}
			data[st.Name], data[c.ScaleName(st.Name)] = packed, scale
		case dtype.F8E4M3:
			w := (cols + 127) / 128
			q, scale := make([]byte, rows*cols), make([]byte, (rows+127)/128*w)
			dtype.QuantFP8(q, scale, values, rows, cols, 128)
			for j := range out {
				out[j] = dtype.E4M3ToF32(q[j]) * dtype.E8M0ToF32(scale[j/cols/128*w+j%cols/128])
			}
			if c.Quantization.ScaleFormat == "" {
				wide := make([]byte, 0, 4*len(scale))
				for _, e := range scale {
					v := math.Float32bits(dtype.E8M0ToF32(e))
					wide = append(wide, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
				}
				scale = wide
			}
			data[st.Name], data[c.ScaleName(st.Name)] = q, scale
		default:
			plain := *x
			plain.DType = st.DType
			b, err := encode(chunk{&plain, 0, x.Rows()}, filler(c))
			if err != nil {
				t.Fatal(err)
			}
			data[st.Name] = b
			copy(out, values)
		}
		if !st.Repeat {
			want[x.Name] = out
		}
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, safetensors.SingleName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w, err := safetensors.NewWriter(f, specs, nil)
	for _, s := range specs {
		if err == nil {
			err = w.Next(s.Name)
		}
		if err == nil {
			_, err = w.Write(data[s.Name])
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), c.MarshalHF(), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, want
}

// rewrite copies a one-file model with its tensors changed.
func rewrite(t *testing.T, dir string, change func(s *safetensors.Spec, data []byte) (keep bool, out []byte)) string {
	t.Helper()
	f, err := safetensors.Open(filepath.Join(dir, safetensors.SingleName))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var specs []safetensors.Spec
	var all [][]byte
	for _, info := range f.Tensors() {
		data := make([]byte, info.Size)
		if err := f.ReadAt(&info, data, 0); err != nil {
			t.Fatal(err)
		}
		s := safetensors.Spec{Name: info.Name, DType: info.DType, Shape: info.Shape}
		if keep, out := change(&s, data); keep {
			specs, all = append(specs, s), append(all, out)
		}
	}
	out := t.TempDir()
	g, err := os.Create(filepath.Join(out, safetensors.SingleName))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	w, err := safetensors.NewWriter(g, specs, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range specs {
		if err := w.Next(s.Name); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(all[i]); err != nil {
			t.Fatal(err)
		}
	}
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(out, "config.json"), config, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRefusesWhatDoesNotFit(t *testing.T) {
	c := small()
	dir := write(t, c, Options{DType: dtype.F32})
	for _, tc := range []struct {
		name   string
		change func(s *safetensors.Spec, data []byte) (bool, []byte)
		want   []string
	}{
		{
			"missing", func(s *safetensors.Spec, d []byte) (bool, []byte) { return s.Name != "layers.2.attn.wkv.weight", d },
			[]string{`tensor "layers.2.attn.wkv.weight" is missing`},
		},
		{"renamed", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			s.Name = strings.Replace(s.Name, "layers.2.attn.wkv.w", "layers.2.attn.wvk.w", 1)
			return true, d
		}, []string{`"layers.2.attn.wkv.weight" is missing: did you mean "layers.2.attn.wvk.weight"`, `"layers.2.attn.wvk.weight" belongs to no parameter: did you mean "layers.2.attn.wkv.weight"`}},
		{"half-sized", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			if s.Name == "norm.weight" {
				s.Shape = []int{80}
				return true, d[:320]
			}
			return true, d
		}, []string{`tensor "norm.weight" in`, "its shape is [80], want [160]"}},
		{"transposed", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			if s.Name == "layers.0.attn.wq_a.weight" {
				s.Shape = []int{160, 64}
			}
			return true, d
		}, []string{"its shape is [160 64], want [64 160]"}},
		{"integers", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			if s.Name == "norm.weight" {
				s.DType, d = dtype.I64, make([]byte, 160*8)
			}
			return true, d
		}, []string{"it is I64, want F32", "norm.weight"}},
		{"table of floats", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			if s.Name == "layers.0.ffn.gate.tid2eid" {
				s.DType = dtype.F64
			}
			return true, d
		}, []string{"it is F64, want I64"}},
		{"FP8 without scale", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			if s.Name == "layers.0.attn.wkv.weight" {
				s.DType, d = dtype.F8E4M3, d[:len(d)/4]
			}
			return true, d
		}, []string{"F8_E4M3 and has no layers.0.attn.wkv.scale"}},
		{"booleans", func(s *safetensors.Spec, d []byte) (bool, []byte) {
			if s.Name == "norm.weight" {
				s.DType, d = dtype.Bool, d[:160]
			}
			return true, d
		}, []string{"BOOL, which holds no weights"}},
		{
			"no head", func(s *safetensors.Spec, d []byte) (bool, []byte) { return s.Name != "head.weight", d },
			[]string{"no output head under a known name"},
		},
		{
			"many", func(s *safetensors.Spec, d []byte) (bool, []byte) { return !strings.Contains(s.Name, "experts"), d },
			[]string{"more like it"},
		},
	} {
		s, err := Open(rewrite(t, dir, tc.change))
		if err == nil {
			s.Close()
			t.Errorf("%s: accepted", tc.name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error does not say %q:\n%v", tc.name, want, err)
			}
		}
	}
}

func TestRefusesExpertsThatDoNotExist(t *testing.T) {
	c := small()
	dir := rewrite(t, write(t, c, Options{DType: dtype.F32}), func(s *safetensors.Spec, d []byte) (bool, []byte) {
		if s.Name == "layers.0.ffn.gate.tid2eid" {
			d[8] = 200
		}
		return true, d
	})
	s := open(t, dir)
	err := s.Read("layers.0.ffn.gate.tid2eid", make([]float32, 40*c.TopK))
	if err == nil || !strings.Contains(err.Error(), "names expert 200, want 0 to 3") {
		t.Errorf("got %v", err)
	}
}

func TestReadsModelWithoutMTP(t *testing.T) {
	c := small()
	dir := rewrite(t, write(t, c, Options{DType: dtype.F32, Style: Transformers}), func(s *safetensors.Spec, d []byte) (bool, []byte) {
		s.Name = strings.TrimPrefix(s.Name, "model.") // the base model alone, of an earlier release
		s.Name = strings.Replace(s.Name, "indexer.scorer.", "indexer.", 1)
		return !strings.HasPrefix(s.Name, "mtp."), d
	})
	s := open(t, dir)
	if s.Config.NumMTP != 0 || len(s.Notes) != 1 || s.Config.Check() != nil {
		t.Errorf("NumMTP %d, notes %v, %v", s.Config.NumMTP, s.Notes, s.Config.Check())
	}
	verify(t, s, c)
}

// The names that save_pretrained of transformers 5.23 gives a V4 model.
func TestReadsWhatTransformersSaves(t *testing.T) {
	c := small()
	c.NumMTP, c.CompressRatios = 0, c.CompressRatios[:c.NumLayers]
	dir := rewrite(t, write(t, c, Options{DType: dtype.F32}), func(s *safetensors.Spec, d []byte) (bool, []byte) {
		switch {
		case s.Name == "embed.weight":
			s.Name = "model.embed_tokens.weight"
		case strings.HasPrefix(s.Name, "hc_head_"):
			s.Name = "model.hc_head.hc_" + strings.TrimPrefix(s.Name, "hc_head_")
		case s.Name != "head.weight":
			s.Name = "model." + strings.Replace(s.Name, "attn.kv_norm", "attn.norm", 1)
		}
		return true, d
	})
	s := open(t, dir)
	if s.Style != DeepSeek {
		t.Errorf("style %q", s.Style)
	}
	verify(t, s, c)
}

func TestWriteIsAllOrNothing(t *testing.T) {
	c := small()
	clean := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS)}
	o := Options{MaxShard: 400_000}
	if err := Write(clean, filepath.Join(t.TempDir(), "m"), c, o, filler(c)); err != nil {
		t.Fatal(err)
	}
	calls := clean.Calls()
	for at := 1; at <= calls; at += 1 + calls/12 {
		for _, lost := range []bool{false, true} {
			dir := filepath.Join(t.TempDir(), "m")
			fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Lost: lost, Dead: lost}
			err := Write(fs, dir, c, o, filler(c))
			if _, statErr := os.Stat(dir); errors.Is(statErr, os.ErrNotExist) {
				if err == nil {
					t.Errorf("call %d: no error and no model", at)
				}
				continue
			}
			verify(t, open(t, dir), c)
		}
	}
	dir := filepath.Join(t.TempDir(), "m")
	full := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: calls / 2, Err: syscall.ENOSPC}
	if err := Write(full, dir, c, o, filler(c)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("full disk: %v", err)
	}
	failing := func(x *arch.Tensor, row, rows int, dst []float32) error { return errors.New("no weights") }
	if err := Write(durable.OS, dir, c, o, failing); err == nil {
		t.Error("a failing source was ignored")
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWriteRefuses(t *testing.T) {
	c := small()
	for want, o := range map[string]Options{
		"cannot write F16": {DType: dtype.F16}, "shards of -1 bytes": {MaxShard: -1},
		`"../x" cannot be added`: {Files: map[string][]byte{"../x": nil}}, `"config.json" cannot`: {Files: map[string][]byte{"config.json": nil}},
	} {
		if err := Write(durable.OS, filepath.Join(t.TempDir(), "m"), c, o, filler(c)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	huge, _ := arch.Builtin("deepseek-v4-pro")
	huge.NumMTP, huge.CompressRatios = 0, huge.CompressRatios[:huge.NumLayers]
	dir := filepath.Join(t.TempDir(), "m")
	if err := Write(durable.OS, dir, huge, Options{DType: dtype.F32}, filler(huge)); err == nil || !strings.Contains(err.Error(), "free") {
		t.Errorf("six terabytes: %v", err)
	}
	dir = write(t, c, Options{})
	if err := Write(durable.OS, dir, c, Options{}, filler(c)); err == nil || !strings.Contains(err.Error(), "want an absent or empty directory") {
		t.Errorf("overwriting: %v", err)
	}
}

func TestLoadConfigFindsIt(t *testing.T) {
	dir := write(t, small(), Options{})
	for _, ref := range []string{"deepseek-v4-pro", dir, filepath.Join(dir, "config.json")} {
		if _, err := LoadConfig(ref); err != nil {
			t.Error(err)
		}
	}
	for ref, want := range map[string]string{"deepseek-v4-por": "did you mean", "./nowhere/x": "no such file", t.TempDir(): "holds no config.json"} {
		if _, err := LoadConfig(ref); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", ref, err, want)
		}
	}
	t.Chdir(dir)
	if err := os.Mkdir("tiny-v4", 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig("tiny-v4"); err == nil || !strings.Contains(err.Error(), "builtin:tiny-v4 or ./tiny-v4") {
		t.Errorf("ambiguous name: %v", err)
	}
	if c, err := LoadConfig("builtin:tiny-v4"); err != nil || c.VocabSize != 512 {
		t.Error(err)
	}
	var m map[string]any
	text, err := os.ReadFile(filepath.Join(dir, "generation_config.json"))
	if err != nil || json.Unmarshal(text, &m) != nil || m["temperature"] != 1.0 {
		t.Errorf("generation_config.json: %s, %v", text, err)
	}
}
