package measured

import "testing"

func TestPublishedRows(t *testing.T) {
	cases, err := Published()
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 10 {
		t.Errorf("%d cases, want 10", len(cases))
	}
	systems := map[string]int{}
	for _, c := range cases {
		systems[c.System]++
		if c.Source == "" || c.Seconds == 0 && c.TeraFLOPs == 0 {
			t.Errorf("%s: %+v", c.Position, c)
		}
	}
	if len(systems) != 5 {
		t.Errorf("systems %v, want 5", systems)
	}
	// 16,384 sequences of 4,096 tokens at 1,412 tokens/s on each of 1,024 devices.
	if s := cases[0].Seconds; s < 46.41 || s > 46.42 {
		t.Errorf("step of %v s, want 56.41", s)
	}
}
