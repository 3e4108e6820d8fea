package campaign

import (
	"strings"
	"testing"
)

// The text says what a cluster lead asks for, phase by phase.
func TestExplain(t *testing.T) {
	s := setting(t, "deepseek-v4-pro", "ascend-910c", 2048, "pp=8,ep=64,mbs=1,zero=1,recompute=full,offload=optimizer", "pp=8,ep=64,cp=16,mbs=1,zero=1,recompute=full,offload=optimizer")
	s.Name = "deepseek-v4-pro"
	w, err := Read("posttrain")
	if err != nil {
		t.Fatal(err)
	}
	r, err := Play(w, s)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range r.Options {
		if o.Saves <= 0 || o.Saves >= 1 || o.Seconds <= 0 || i > 0 && o.Saves > r.Options[i-1].Saves {
			t.Errorf("option %d: %+v", i, o)
		}
	}
	var b strings.Builder
	if err := r.Explain(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	t.Log("\n" + text)
	for _, want := range []string{
		"posttrain on 2048 devices of ascend-910c, deepseek-v4-pro\n", "Finished after ", "failures alone", "Phases\n", "specialists", "Where a step's time goes\n",
		"What dominates: rollout of phase specialists", "What would make it shorter", "partial: true", "Failures, with policy memory: ", "faulty device", "A checkpoint is 22.4 TB", "Young", "Ways to recover",
		"memory *", "Energy: ", "power.pue", "Cost: not known", "Of a pre-training on 33.0 T tokens",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text does not say %q", want)
		}
	}
	m, step := predicted(t, "deepseek-v4-pro", "ascend-910c", 2048, "pp=8,ep=64,recompute=full,offload=optimizer")
	d, err := Days(m, step, 30, "spares")
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := d.Explain(&b); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	for _, want := range []string{"30 days: ", "goodput 98", "Failures, with policy spares", "spares *"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text of days does not say %q", want)
		}
	}
	text += b.String()
	for i, line := range strings.Split(text, "\n") {
		if strings.Contains(line, "NaN") || strings.Contains(line, "Inf") || strings.Contains(line, "%!") {
			t.Errorf("line %d: %s", i+1, line)
		}
	}
}
