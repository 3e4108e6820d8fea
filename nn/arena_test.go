package nn

import "testing"

func TestArenaNests(t *testing.T) {
	a := NewArena()
	outer := a.F32(100)
	for i := range outer {
		outer[i] = 1
	}
	m := a.Mark()
	inner := a.Zeros(arenaChunk) // forces a second chunk
	_ = a.I32(7)
	for i := range inner {
		inner[i] = 2
	}
	for i, v := range outer {
		if v != 1 {
			t.Fatalf("outer[%d] = %v after writing inner", i, v)
		}
	}
	a.Release(m)
	if got, want := a.Used(), int64(4*112); got != want {
		t.Errorf("used %d bytes, want %d", got, want)
	}
	if got, want := a.Peak(), int64(4*(112+arenaChunk+16)); got != want {
		t.Errorf("peak %d bytes, want %d", got, want)
	}
	if again := a.F32(3); len(again) != 3 || cap(again) != 3 {
		t.Errorf("len %d cap %d, want 3 and 3", len(again), cap(again))
	}
}

// step takes memory like a training step does: activations that stay, and
// scratch that comes and goes.
func step(a *Arena) {
	m := a.Mark()
	for layer := 0; layer < 5; layer++ {
		a.F32(100_000 + 10*layer)
		s := a.Mark()
		a.F32(300_000)
		a.I32(500)
		a.Release(s)
	}
	a.Release(m)
}

func TestArenaSettles(t *testing.T) {
	a := NewArena()
	step(a)
	step(a)
	if a.Held() > a.Peak()+4*arenaChunk {
		t.Errorf("holds %d bytes for a peak of %d", a.Held(), a.Peak())
	}
	if n := testing.AllocsPerRun(10, func() { step(a) }); n != 0 {
		t.Errorf("a settled arena allocates %v times per step", n)
	}
}

func TestArenaReserve(t *testing.T) {
	a := NewArena()
	a.Reserve(4 * 1000)
	if n := a.Held(); n < 4000 || n > 4000+64 {
		t.Errorf("holds %d bytes after reserving 4000", n)
	}
	a.F32(500)
	a.Reserve(1 << 20) // in use: must not move anything
	if n := a.Held(); n > 4000+64 {
		t.Errorf("reserve moved an arena in use: holds %d bytes", n)
	}
}

func TestCheckSegments(t *testing.T) {
	good := [][]Segment{{{0, 10}}, {{0, 1}, {1, 10}}}
	for _, s := range good {
		if err := CheckSegments(s, 10); err != nil {
			t.Errorf("%v: %v", s, err)
		}
	}
	bad := [][]Segment{nil, {{0, 9}}, {{0, 11}}, {{1, 10}}, {{0, 4}, {5, 10}}, {{0, 6}, {5, 10}}, {{0, 0}, {0, 10}}}
	for _, s := range bad {
		if CheckSegments(s, 10) == nil {
			t.Errorf("%v of 10 tokens was accepted", s)
		}
	}
}
