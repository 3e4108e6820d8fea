package dashboard

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// none is shown for what is not on record.
const none = "–"

// short is a number with four digits.
func short(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// count is a number with its thousands apart.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// scaled is a number with a prefix of the thousands: 12.3 k.
func scaled(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return none
	}
	prefix := ""
	for _, p := range []string{"k", "M", "G", "T", "P", "E"} {
		if math.Abs(v) < 1000 {
			break
		}
		v, prefix = v/1000, " "+p
	}
	digits := 2
	switch a := math.Abs(v); {
	case a >= 100 || v == math.Trunc(v):
		digits = 0
	case a >= 10:
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + prefix
}

// bytesText is a size with a binary prefix.
func bytesText(n int64) string {
	v, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	digits := 2
	if v >= 100 {
		digits = 0
	} else if v >= 10 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + unit
}

func percent(v float64) string {
	if math.IsNaN(v) {
		return none
	}
	return fmt.Sprintf("%.1f %%", 100*v)
}

// lasting is a duration in the two largest units that fit.
func lasting(d time.Duration) string {
	switch {
	case d < 0:
		return none
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

// clock is a time of an entry, which is UTC.
func clock(ms int64) string {
	if ms <= 0 {
		return none
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05")
}

// stamp is the same for programs.
func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format(time.RFC3339) }

// shortKey is the name and hash of a verifier key, without the key itself.
func shortKey(key string) string {
	parts := strings.SplitN(key, "+", 3)
	if len(parts) < 3 {
		return cutText(key, 40)
	}
	return cutText(parts[0], 24) + "+" + cutText(parts[1], 8)
}

// cutText is at most n characters of a text.
func cutText(s string, n int) string {
	for i := range s {
		if n--; n < 0 {
			return s[:i] + "…"
		}
	}
	return s
}
