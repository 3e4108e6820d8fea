package serve

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/deepseek"
)

// samplesOf is how many values of each tensor a fingerprint looks at.
const samplesOf = 64

// Fingerprint tells a model with its tokenizer and encoding from others: by its
// configuration and, as reading all of a large one would take long, by some values
// of each tensor. It is no digest.
func Fingerprint(m *deepseek.Model, tok *tokenizer.Tokenizer, enc chat.Encoding) string {
	h := sha256.New()
	config, err := json.Marshal(m.Config())
	if err != nil {
		panic("serve: " + err.Error())
	}
	fmt.Fprintf(h, "%s\n%x\n%s %d\n", config, tok.Digest(), enc.Name(), enc.Version())
	for _, p := range m.Params() {
		n := len(p.Data)
		fmt.Fprintf(h, "%s %d\n", p.Name, n)
		for i := range min(samplesOf, n) {
			at := i * (n / min(samplesOf, n))
			_ = binary.Write(h, binary.LittleEndian, math.Float32bits(p.Data[at]))
		}
	}
	return "fp_" + hex.EncodeToString(h.Sum(nil)[:8])
}
