package unit

import (
	"math"
	"testing"
	"time"
)

func TestStrings(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(0).String(), "0 B"},
		{Bytes(1023).String(), "1023 B"},
		{Bytes(1536).String(), "1.50 KiB"},
		{Bytes(24 << 30).String(), "24.0 GiB"},
		{Bytes(-5 << 20).String(), "-5.00 MiB"},
		{FLOPs(2.5e12).String(), "2.50 TFLOP"},
		{FLOPs(0).String(), "0.00 FLOP"},
		{Count(999).String(), "999"},
		{Count(1573_000_000_000).String(), "1.57 T"},
		{Count(284_330_000_000).String(), "284 B"},
		{Duration(math.MinInt64), "-106751d23h"},
		{Duration(850 * time.Millisecond), "850 ms"},
		{Duration(12300 * time.Millisecond), "12.3 s"},
		{Duration(245 * time.Second), "4m05s"},
		{Duration(187 * time.Minute), "3h07m"},
		{Duration(12*24*time.Hour + 4*time.Hour), "12d04h"},
		{Duration(-2 * time.Second), "-2.0 s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
