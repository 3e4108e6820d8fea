package hardware

import (
	"math"
	"strconv"
	"strings"
)

// formatQuantity prints x in the unit that makes the shortest text which reads
// back as exactly x, with one to four digits before the point (seven of a
// duration, since hours are counted far).
func formatQuantity(k kind, x float64) string {
	if k == share || k == ratio || k == count {
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	best, most := "", 4
	if k == duration {
		most = 7
	}
	for _, s := range scales[k] {
		if !s.main {
			continue
		}
		t := shortest(k, x, s)
		whole, _, _ := strings.Cut(t, ".")
		whole, _, _ = strings.Cut(whole, " ")
		if t == "" || whole == "0" || len(whole) > most {
			continue
		}
		if best == "" || len(t) < len(best) || len(t) == len(best) && decimals(t) <= 2 {
			best = t // the larger unit of two, if the number stays readable
		}
	}
	if best == "" {
		best = strconv.FormatFloat(x, 'g', -1, 64) + " " + plainUnit(k)
	}
	return best
}

// decimals counts the digits behind the point.
func decimals(t string) int {
	digits, _, _ := strings.Cut(t, " ")
	_, frac, _ := strings.Cut(digits, ".")
	return len(frac)
}

// shortest prints x in the unit s with the fewest digits that read back as x,
// or "" if none do.
func shortest(k kind, x float64, s scale) string {
	digits := inUnit(x, s)
	if k == byteSize { // reading rounds to whole bytes
		for places := range 10 {
			t := strconv.FormatFloat(math.Ldexp(x, -s.bin)/math.Pow10(s.exp), 'f', places, 64) + " " + s.unit
			if back, err := parseQuantity(k, t); err == nil && back == x {
				return t
			}
		}
	}
	t := digits + " " + s.unit
	if back, err := parseQuantity(k, t); err == nil && back == x {
		return t
	}
	return ""
}

// plainUnit returns the unit of factor 1.
func plainUnit(k kind) string {
	for _, s := range scales[k] {
		if s.main && s.exp == 0 && s.bin == 0 && s.mul == 0 {
			return s.unit
		}
	}
	return ""
}

// inUnit prints x in the unit s with as many digits as it needs.
func inUnit(x float64, s scale) string {
	switch {
	case s.mul != 0:
		return strconv.FormatFloat(x/s.mul, 'f', -1, 64)
	case s.bin != 0:
		return strconv.FormatFloat(math.Ldexp(x, -s.bin), 'f', -1, 64)
	}
	return positional(strconv.FormatFloat(x, 'e', -1, 64), -s.exp)
}

// positional writes scientific text times 10^exp without an exponent.
func positional(sci string, exp int) string {
	sign := ""
	if strings.HasPrefix(sci, "-") {
		sign, sci = "-", sci[1:]
	}
	mantissa, e, _ := strings.Cut(sci, "e")
	n, _ := strconv.Atoi(e)
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits, point := whole+frac, len(whole)+n+exp
	switch {
	case digits == "0":
		return "0"
	case point <= 0:
		return sign + "0." + strings.Repeat("0", -point) + digits
	case point >= len(digits):
		return sign + digits + strings.Repeat("0", point-len(digits))
	}
	return sign + digits[:point] + "." + digits[point:]
}
