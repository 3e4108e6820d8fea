package costmodel

import (
	"strings"
	"testing"
)

func TestExplainNamesWhatBounds(t *testing.T) {
	for _, tt := range []struct {
		model, cluster string
		devices, batch int
		dtype, layout  string
		share, bound   string
		text           string
	}{
		{"llama3-8b", "h100", 64, 256, "bf16", "tp=2,pp=2", "tp", "node links: tp", "node"},
		{"llama3-8b", "h100", 64, 256, "bf16", "tp=16,pp=1", "tp", "", ""}, // 8 key heads: refused
		{"llama3-8b", "h100", 64, 256, "bf16", "tp=1,pp=2", "products", "compute", "of 989 TFLOP/s"},
		{"llama3-8b", "b200", 64, 256, "bf16", "tp=1,pp=2", "products", "compute", "power allows"},
		{"deepseek-v3", "h100", 256, 256, "bf16", "pp=8,ep=32,recompute=full", "ep", "scale-out links: ep", "scale-out"},
		{"deepseek-v3", "gb200", 256, 256, "bf16", "pp=4,ep=64", "ep", "rack links: ep", "rack"},
		{"llama3-8b", "h100", 64, 64, "bf16", "pp=8", "bubble", "pipeline bubble", "8 micro-batches"},
	} {
		m := newModel(t, tt.model, tt.cluster, tt.devices, Workload{Seq: 4096, GlobalBatch: tt.batch, DType: tt.dtype})
		m.options.AnyMemory = true
		l, err := ParseLayout(tt.layout, tt.devices)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.Evaluate(l)
		if tt.bound == "" {
			if err == nil {
				t.Errorf("%s %s: not refused", tt.model, tt.layout)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sum, found := 0.0, false
		for _, r := range m.Explain(s) {
			sum += r.Seconds
			if r.Name == tt.share {
				found = true
				if r.Bound != tt.bound || !strings.Contains(r.Text, tt.text) {
					t.Errorf("%s on %s, %s: %s is bound by %q: %s; want %q: %s", tt.model, tt.cluster, tt.layout, r.Name, r.Bound, r.Text, tt.bound, tt.text)
				}
			}
		}
		if sum != s.Seconds || !found {
			t.Errorf("%s on %s, %s: reasons sum to %v of %v s, %s found: %v", tt.model, tt.cluster, tt.layout, sum, s.Seconds, tt.share, found)
		}
	}
}
