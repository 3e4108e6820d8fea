package deepseek

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/temper-ml/temper/model/deepseek/deepseektest"
)

// stepDigests were made on amd64 and hold on every architecture and path. A
// deliberate change of the canonical arithmetic changes them: then, and only
// then, put the new ones here.
var stepDigests = map[string]string{
	"v4":              "19783c052c4628d7baa0f5fc2d96572567f4dff4639989c4d42c636dc63d36f8",
	"v3":              "45e1f970e8119a37764c85c4de3592e2bdf1043f9ed8ad70e37aea76ccaff4e0",
	"v4 with two mtp": "9205b2a93374ee8642b3d8130638323a1ac06d3493474708cf3445a0dfa5660a",
	"v3 with two mtp": "50a940aaf7f19f160c576619c5b4ea95ef17835e19d9d18be9fdc9094f39a75d",
}

// TestStepDigest: the bits of all losses and gradients of one step.
func TestStepDigest(t *testing.T) {
	for name, cfg := range small() {
		m := loaded(t, cfg, deepseektest.RandomParams(cfg, 21))
		m.ZeroGrad()
		l := mustStep(t, m, randomBatch(cfg, 22, 23, 17), smallOptions)
		h := sha256.New()
		for _, v := range []float64{l.LM, l.MTP, l.Balance, l.Indexer} {
			_ = binary.Write(h, binary.LittleEndian, math.Float64bits(v))
		}
		for _, p := range m.Params() {
			_ = binary.Write(h, binary.LittleEndian, p.Grad)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != stepDigests[name] {
			t.Errorf("%s: digest %s, want %s", name, got, stepDigests[name])
		}
	}
}
