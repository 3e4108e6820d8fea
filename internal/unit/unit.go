// Package unit gives quantities their units: bytes, floating-point operations,
// seconds, counts. A number that a person reads goes through here, so that the
// same quantity always looks the same.
package unit

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Bytes is an amount of memory or traffic in bytes.
type Bytes int64

// FLOPs is a number of floating-point operations; a fused multiply-add is two.
type FLOPs float64

// Count is a number of things: parameters, tokens, steps.
type Count int64

// String prints b with a binary prefix and three significant digits: "1.50 GiB".
func (b Bytes) String() string {
	if b > -1024 && b < 1024 {
		return strconv.FormatInt(int64(b), 10) + " B"
	}
	return scaled(float64(b), 1024, []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"})
}

// String prints f with a decimal prefix and three significant digits: "2.50 TFLOP".
func (f FLOPs) String() string {
	return scaled(float64(f), 1000, []string{"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP", "ZFLOP", "YFLOP"})
}

// String prints c with a decimal suffix and three significant digits: "1.57 T".
func (c Count) String() string {
	if c > -1000 && c < 1000 {
		return strconv.FormatInt(int64(c), 10)
	}
	return scaled(float64(c), 1000, []string{"", "K", "M", "B", "T", "Q"})
}

// Duration prints d as a person would say it: "850 ms", "12.3 s", "4m05s", "3h07m", "12d04h".
func Duration(d time.Duration) string {
	switch s := d.Seconds(); {
	case d < 0:
		return "-" + Duration(-max(d, -math.MaxInt64)) // the least has no positive
	case s < 1:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case s < 60:
		return fmt.Sprintf("%.1f s", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", int(s)/60, int(s)%60)
	case s < 48*3600:
		return fmt.Sprintf("%dh%02dm", int(s)/3600, int(s)/60%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(s)/86400, int(s)/3600%24)
	}
}

// scaled prints x with the largest suffix that keeps it at 1 or above.
func scaled(x, base float64, suffixes []string) string {
	i := 0
	for math.Abs(x) >= base && i < len(suffixes)-1 {
		x /= base
		i++
	}
	decimals := 2
	switch a := math.Abs(x); {
	case a >= 100:
		decimals = 0
	case a >= 10:
		decimals = 1
	}
	return strconv.FormatFloat(x, 'f', decimals, 64) + " " + suffixes[i]
}
