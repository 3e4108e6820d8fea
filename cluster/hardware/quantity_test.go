package hardware

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseQuantity(t *testing.T) {
	for _, c := range []struct {
		kind kind
		text string
		want float64
	}{
		{flopRate, "353.9 TFLOP/s", 353.9e12},
		{flopRate, "1.9789 PFLOPS", 1.9789e15},
		{flopRate, "5EFLOP/s", 5e18},
		{flopRate, "752 TOPS", 752e12},
		{byteSize, "64 GiB", 64 << 30},
		{byteSize, "80 GB", 80e9},
		{byteSize, "79.1 GiB", 84932978278},
		{byteSize, "8 B", 8},
		{byteRate, "1.6 TiB/s", 1.6 * (1 << 40)},
		{byteRate, "3.35 TB/s", 3.35e12},
		{byteRate, "200 Gb/s", 25e9},
		{byteRate, "400Gbit/s", 50e9},
		{duration, "5.5 us", 5.5e-6},
		{duration, "5.5 µs", 5.5e-6},
		{duration, "30 min", 1800},
		{duration, "50677 h", 50677 * 3600},
		{power, "1.4 kW", 1400},
		{share, "0.7", 0.7},
		{share, "70%", 0.7},
		{ratio, "1.2", 1.2},
		{count, "768", 768},
		{count, "1e3", 1000},
	} {
		got, err := parseQuantity(c.kind, c.text)
		if err != nil || got != c.want {
			t.Errorf("%q is %v, %v, want %v", c.text, got, err, c.want)
		}
	}
}

func TestParseQuantityRefuses(t *testing.T) {
	for _, c := range []struct {
		kind kind
		text string
		want string
	}{
		{flopRate, "353.9", `must have a unit, as in "353.9 TFLOP/s"`},
		{flopRate, "353.9 TFLOP", `did you mean "353.9 TFLOP/s"?`},
		{byteSize, "64 GHz", "is not one of B, "},
		{byteSize, "fast", "must be a number with a unit"},
		{byteSize, "1.5 B", "must be a whole number"},
		{byteRate, "1.6 TB", `did you mean "1.6 TB/s"?`},
		{duration, "5.5 seconds", `is not one of ns, us, ms, s, min, h, d`},
		{count, "8 GPUs", "without a unit"},
		{count, "8.5", "must be a whole number"},
		{share, "0.7 of it", "% or none"},
		{byteSize, "1e999 GB", "that a float64 holds"},
		{byteSize, "1e99999999999999999999 GB", "that a float64 holds"},
		{count, "NaN", "must be a number"},
		{count, "0x10", "without a unit"},
		{count, "", "must be a number"},
		{count, "-", "must be a number"},
	} {
		got, err := parseQuantity(c.kind, c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q is %v, %v, want an error with %q", c.text, got, err, c.want)
		}
	}
}

func TestFormatQuantity(t *testing.T) {
	for _, c := range []struct {
		kind kind
		x    float64
		want string
	}{
		{flopRate, 353.9e12, "353.9 TFLOP/s"},
		{flopRate, 1978.9e12, "1978.9 TFLOP/s"},
		{byteSize, 64 << 30, "64 GiB"},
		{byteSize, 84932978278, "79.1 GiB"},
		{byteSize, 256e9, "256 GB"},
		{byteRate, 1.6 * (1 << 40), "1.6 TiB/s"},
		{byteRate, 25e9, "25 GB/s"},
		{duration, 5.5e-6, "5.5 us"},
		{duration, 1.9e-6, "1.9 us"},
		{duration, 6.18e-6, "6.18 us"},
		{duration, 1800, "30 min"},
		{duration, 50677 * 3600, "50677 h"},
		{duration, 3540000 * 3600, "147500 d"},
		{duration, 0, "0 s"},
		{power, 700, "700 W"},
		{share, 0.56, "0.56"},
		{count, 331776, "331776"},
	} {
		if got := formatQuantity(c.kind, c.x); got != c.want {
			t.Errorf("%v is printed as %q, want %q", c.x, got, c.want)
		}
	}
}

// What is printed reads back as the same number, bit for bit.
func TestFormatReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.SampledFrom([]kind{flopRate, byteSize, byteRate, duration, power, share, ratio, count}).Draw(t, "kind")
		x := rapid.Float64Range(0, 1e18).Draw(t, "x")
		if k == count || k == byteSize {
			x = float64(rapid.Int64Range(0, 1e15).Draw(t, "n"))
		}
		text := formatQuantity(k, x)
		back, err := parseQuantity(k, text)
		if err != nil || back != x {
			t.Fatalf("%v is printed as %q, which reads as %v, %v", x, text, back, err)
		}
	})
}
