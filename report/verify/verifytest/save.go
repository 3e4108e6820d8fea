package verifytest

import (
	"bytes"
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
	k.Parameters, k.Optimizer = sum(parameters), sum(optimizer)
	var data bytes.Buffer
	header, items := map[string]any{}, []map[string]any{}
	for _, t := range append(parameters, optimizer...) {
		if t.ints != nil {
			continue
		}
		from := data.Len()
		for _, v := range t.values {
			data.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
		}
		header[t.name] = map[string]any{"dtype": "F32", "shape": []int{len(t.values)}, "data_offsets": []int{from, data.Len()}}
		leaf := sha256.Sum256(append([]byte{0}, data.Bytes()[from:]...))
		text := binary.LittleEndian.AppendUint64([]byte{1}, uint64(len(t.values)))
		root := sha256.Sum256(append(text, leaf[:]...))
		items = append(items, map[string]any{"name": t.name, "shape": []int{len(t.values)}, "file": "data-00001-of-00001.safetensors", "sha256": hex.EncodeToString(root[:])})
	}
	head, err := json.Marshal(header)
	must(err)
	head = append(head, strings.Repeat(" ", (8-len(head)%8)%8)...)
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	a.file(filepath.Join(k.Path, "data-00001-of-00001.safetensors"), string(file)+string(head)+data.String())
	body, err := json.Marshal(map[string]any{"format": "temper training state 1", "step": step, "meta": map[string]any{"updates": own}, "tensors": items})
	must(err)
	seal := sha256.Sum256(body)
	text := fmt.Sprintf("{\"sha256\": %q, \"manifest\": %s}\n", hex.EncodeToString(seal[:]), body)
	k.Content = a.file(filepath.Join(k.Path, "manifest.json"), text)
	k.Bytes = int64(data.Len())
	return k
}
