package attention

import (
	"math"
	"math/big"
	"testing"
)

func TestSincosAgainstLibrary(t *testing.T) {
	for i := range 200000 {
		x := float64(i) * 5.123456789
		if i%2 == 1 {
			x = -x / 1000
		}
		s, c := sincos(x)
		ws, wc := math.Sincos(x)
		if math.Abs(s-ws) > 3e-16 || math.Abs(c-wc) > 3e-16 {
			t.Fatalf("sincos(%v) = %v, %v, want %v, %v", x, s, c, ws, wc)
		}
	}
}

// halfPi's three parts must add up to π/2.
func TestHalfPi(t *testing.T) {
	want, _ := new(big.Float).SetPrec(300).SetString("1.57079632679489661923132169163975144209858469968755291048747229615390820314310449931401741267105853399107404326")
	got := new(big.Float).SetPrec(300)
	for _, p := range []float64{halfPi1, halfPi2, halfPi3} {
		got.Add(got, big.NewFloat(p))
	}
	if d, _ := got.Sub(got, want).Float64(); math.Abs(d) > 1e-47 {
		t.Errorf("parts of π/2 are off by %g", d)
	}
}

func TestRotaryFrequencies(t *testing.T) {
	r := NewRotary(64, 10000, nil)
	for i, f := range r.freqs {
		if want := math.Pow(10000, -float64(2*i)/64); math.Abs(f/want-1) > 1e-15 {
			t.Errorf("pair %d turns by %v, want %v", i, f, want)
		}
	}
	if r.freqs[16] != 0.01 {
		t.Errorf("pair 16 turns by %v, want exactly 0.01", r.freqs[16])
	}
}

// The ramps stated for the published models: V4 runs from 15 to 25, V3 from 10 to 23.
func TestYaRNRamp(t *testing.T) {
	for _, c := range []struct {
		base      float64
		yarn      YaRN
		low, high int
	}{
		{160000, YaRN{16, 65536, 32, 1}, 15, 25},
		{10000, YaRN{40, 4096, 32, 1}, 10, 23},
		{10000, YaRN{4, 100, 32, 1}, 0, 10},
	} {
		low, high := c.yarn.ramp(rotaryPowers(64, c.base))
		if low != c.low || high != c.high {
			t.Errorf("base %v, %+v: ramp from %d to %d, want %d to %d", c.base, c.yarn, low, high, c.low, c.high)
		}
		correction := func(beta float64) float64 {
			return 64 * math.Log(float64(c.yarn.Original)/(beta*2*math.Pi)) / (2 * math.Log(c.base))
		}
		if l, h := max(0, math.Floor(correction(c.yarn.BetaFast))), math.Ceil(correction(c.yarn.BetaSlow)); int(l) != low || int(h) != high {
			t.Errorf("base %v: by logarithms the ramp runs from %v to %v", c.base, l, h)
		}
		r := NewRotary(64, c.base, &c.yarn)
		plain := NewRotary(64, c.base, nil)
		for i, f := range r.freqs {
			ramp := min(max(float64(i-low)/float64(high-low), 0), 1)
			if want := plain.freqs[i] * (1 - ramp + ramp/c.yarn.Factor); math.Abs(f/want-1) > 1e-14 {
				t.Errorf("pair %d turns by %v, want %v", i, f, want)
			}
		}
	}
}

func TestRotaryGrowsTheSame(t *testing.T) {
	a, b := NewRotary(8, 500, nil), NewRotary(8, 500, nil)
	a.grow(3)
	a.grow(50)
	ca, sa := a.grow(200)
	cb, sb := b.grow(200)
	for i := range 200 * 4 {
		if ca[i] != cb[i] || sa[i] != sb[i] {
			t.Fatalf("element %d differs when grown in steps", i)
		}
	}
}

func TestNaturalLog(t *testing.T) {
	for _, x := range []float64{1, 1.0001, 2, 4, 16, 40, 1e6, 0.3} {
		if got, want := naturalLog(x), math.Log(x); math.Abs(got-want) > 1e-15*math.Max(1, math.Abs(want)) {
			t.Errorf("naturalLog(%v) = %v, want %v", x, got, want)
		}
	}
}
