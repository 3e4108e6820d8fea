package deepseektest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/temper-ml/temper/model/arch"
)

// Golden is one directory of testdata: a tiny model in published form, inputs, and the results that PyTorch computed for them
// in float64 with the classes of transformers. testdata/make_goldens.py makes it and says what each part is.
type Golden struct {
	Config    *arch.Config
	Params    map[string][]float64 // values are exact in float32
	Batch     Batch
	Losses    map[string]float64 // unscaled sums: lm, mtp, balance, indexer
	Logits    []float64          // [T, V]
	MTPLogits []float64          // of each segment but its last position
	// Probes holds, per loss and tensor, what [Probe] makes of the gradient of that loss alone.
	Probes map[string]map[string][12]float64
}

// LossNames are the keys of Golden.Losses and Golden.Probes.
var LossNames = []string{"lm", "mtp", "balance", "indexer"}

// LoadGolden reads a directory of testdata.
func LoadGolden(dir string) (*Golden, error) {
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	g := &Golden{Losses: map[string]float64{}, Probes: map[string]map[string][12]float64{}}
	if g.Config, err = arch.ParseConfig(text); err != nil {
		return nil, err
	}
	if g.Params, _, err = readSafetensors(filepath.Join(dir, "model.safetensors")); err != nil {
		return nil, err
	}
	arrays, note, err := readSafetensors(filepath.Join(dir, "golden.safetensors"))
	if err != nil {
		return nil, err
	}
	g.Batch = Batch{Tokens: ids(arrays["tokens"]), Labels: ids(arrays["labels"]), MTPLabels: ids(arrays["mtp_labels"])}
	for i := 0; i < len(arrays["segments"]); i += 2 {
		g.Batch.Segments = append(g.Batch.Segments, [2]int{int(arrays["segments"][i]), int(arrays["segments"][i+1])})
	}
	g.Logits, g.MTPLogits = arrays["logits"], arrays["mtp_logits"]
	var about struct{ Tensors []string }
	if err := json.Unmarshal([]byte(note["about"]), &about); err != nil {
		return nil, fmt.Errorf("deepseektest: %s: list of tensors: %w", dir, err)
	}
	for i, loss := range LossNames {
		g.Losses[loss] = arrays["losses"][i]
		rows := arrays["gradient."+loss]
		if rows == nil {
			continue // the model has no such loss
		}
		g.Probes[loss] = map[string][12]float64{}
		for j, name := range about.Tensors {
			g.Probes[loss][name] = [12]float64(rows[12*j:])
		}
	}
	return g, nil
}

// Probe condenses a gradient: the root of its sum of squares, three sums with fixed pseudo-random signs, and eight of its
// elements. It is the function of the same name in make_goldens.py.
func Probe(g []float64) (p [12]float64) {
	for i, v := range g {
		p[0] += float64(v * v)
		for k, m := range []uint64{2654435761, 2246822519, 3266489917} {
			if uint64(i+1)*m>>15&1 == 1 {
				p[1+k] -= v
			} else {
				p[1+k] += v
			}
		}
	}
	p[0] = math.Sqrt(p[0])
	for k := range 8 {
		p[4+k] = g[k*len(g)/8]
	}
	return p
}

func ids(x []float64) []int32 {
	out := make([]int32, len(x))
	for i, v := range x {
		out[i] = int32(v)
	}
	return out
}

// readSafetensors reads every array of a file as float64, and the file's metadata. It knows the three types that
// make_goldens.py writes, and is kept apart from the product's own reader so that the two can be checked on the same files.
func readSafetensors(path string) (arrays map[string][]float64, metadata map[string]string, err error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	if len(file) < 8 || binary.LittleEndian.Uint64(file) > uint64(len(file)-8) {
		return nil, nil, fmt.Errorf("deepseektest: %s is not a safetensors file", path)
	}
	n := binary.LittleEndian.Uint64(file)
	header, body := file[8:8+n], file[8+n:]
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(header, &entries); err != nil {
		return nil, nil, fmt.Errorf("deepseektest: %s: header: %w", path, err)
	}
	arrays = map[string][]float64{}
	for name, raw := range entries {
		if name == "__metadata__" {
			if err := json.Unmarshal(raw, &metadata); err != nil {
				return nil, nil, fmt.Errorf("deepseektest: %s: metadata: %w", path, err)
			}
			continue
		}
		var e struct {
			DType   string
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, nil, fmt.Errorf("deepseektest: %s: %s: %w", path, name, err)
		}
		if arrays[name], err = widen(e.DType, body[e.Offsets[0]:e.Offsets[1]]); err != nil {
			return nil, nil, fmt.Errorf("deepseektest: %s: %s: %w", path, name, err)
		}
	}
	return arrays, metadata, nil
}

func widen(dtype string, b []byte) (out []float64, err error) {
	switch dtype {
	case "F32":
		for ; len(b) >= 4; b = b[4:] {
			out = append(out, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))))
		}
	case "F64":
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}
	case "I64":
		for ; len(b) >= 8; b = b[8:] {
			out = append(out, float64(int64(binary.LittleEndian.Uint64(b))))
		}
	default:
		err = fmt.Errorf("type %s, want F32, F64 or I64", dtype)
	}
	return out, err
}
