package verifytest

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/temper-ml/temper/report/record"
)

// save writes a checkpoint, as docs/checkpoints.md describes them, and returns
// its entry.
func (a *author) save(i int, step int64) *record.Checkpoint {
	k := &record.Checkpoint{
		Stage: i, Step: step, Took: 1e8,
		Path: fmt.Sprintf("checkpoints/%02d-%s/save-%06d-step-%010d", i, a.Options.Stages[i].Name, a.saves+1, step),
	}
	a.saves++
	all, own := a.world.updates(i, step)
	if !a.Options.Files {
		k.Content = a.world.name("content", uint64(i), uint64(step))
		return k
	}
	parameters, optimizer := a.world.parameters(all), a.world.optimizer(i, own)
	k.Parameters, k.Optimizer = whole(parameters), whole(optimizer)
	var file container
	items := []map[string]any{}
	for _, t := range append(parameters, optimizer...) {
		if t.ints != nil {
			continue
		}
		bytes := file.add(t, "F32")
		leaf := sha256.Sum256(append([]byte{0}, bytes...))
		text := binary.LittleEndian.AppendUint64([]byte{1}, uint64(len(t.values)))
		root := sha256.Sum256(append(text, leaf[:]...))
		items = append(items, map[string]any{"name": t.name, "shape": []int{len(t.values)}, "file": "data-00001-of-00001.safetensors", "sha256": hex.EncodeToString(root[:])})
	}
	a.file(filepath.Join(k.Path, "data-00001-of-00001.safetensors"), file.text())
	body, err := json.Marshal(map[string]any{"format": "temper training state 1", "step": step, "meta": map[string]any{"updates": own}, "tensors": items})
	must(err)
	seal := sha256.Sum256(body)
	text := fmt.Sprintf("{\"sha256\": %q, \"manifest\": %s}\n", hex.EncodeToString(seal[:]), body)
	k.Content = a.file(filepath.Join(k.Path, "manifest.json"), text)
	k.Bytes = int64(len(file.data))
	return k
}

// container is a safetensors file being written.
type container struct {
	header map[string]any
	data   []byte
}

// add appends a tensor and returns its bytes.
func (c *container) add(t tensor, dtype string) []byte {
	if c.header == nil {
		c.header = map[string]any{}
	}
	from := len(c.data)
	for _, v := range t.values {
		bits := math.Float32bits(v)
		if dtype == "BF16" { // values are never NaN
			bits += 0x7fff + bits>>16&1
			c.data = binary.LittleEndian.AppendUint16(c.data, uint16(bits>>16))
		} else {
			c.data = binary.LittleEndian.AppendUint32(c.data, bits)
		}
	}
	c.header[t.name] = map[string]any{"dtype": dtype, "shape": []int{len(t.values)}, "data_offsets": []int{from, len(c.data)}}
	return c.data[from:]
}

func (c *container) text() string {
	head, err := json.Marshal(c.header)
	must(err)
	head = append(head, strings.Repeat(" ", (8-len(head)%8)%8)...)
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(head)))) + string(head) + string(c.data)
}

// exported is the file of a model: matrices in bf16, vectors in float32.
func exported(parameters []tensor) string {
	var c container
	for _, t := range parameters {
		if t.name == "a.weight" {
			c.add(t, "BF16")
		} else {
			c.add(t, "F32")
		}
	}
	return c.text()
}
