package audit

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kind is what a quantity measures: its units, and how it is printed.
type kind struct {
	example string
	units   map[string]float64 // to base units
	bare    bool               // a number without a unit is legal
	whole   bool               // counted one by one: exact, not rounded
	most    float64            // the largest legal value, in base units
	over    float64            // if not 0, what is meant is this number over the one said
}

var (
	counted  = &kind{example: "14.8 T", bare: true, units: map[string]float64{"tokens": 1, "parameters": 1}, most: 1e21}
	steps    = &kind{example: "10400", bare: true, whole: true, units: map[string]float64{"steps": 1}, most: 1e12}
	devices  = &kind{example: "1000 cards", bare: true, whole: true, units: map[string]float64{"cards": 1, "dies": 1, "devices": 1}, most: 1e8}
	seconds  = &kind{example: "54 d", units: map[string]float64{"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400, "weeks": 7 * 86400, "months": 30.4375 * 86400}, most: 1e10}
	hours    = &kind{example: "2.664 M h", units: map[string]float64{"h": 3600, "d": 86400}, most: 1e16}
	share    = &kind{example: "10 %", units: map[string]float64{"%": 0.01}, most: 1e4}
	money    = &kind{example: "5.576 M USD", units: map[string]float64{"USD": 1, "CNY": 1, "EUR": 1}, most: 1e15}
	price    = &kind{example: "2 USD/h", units: map[string]float64{"USD/h": 1. / 3600, "CNY/h": 1. / 3600, "EUR/h": 1. / 3600}, most: 1e6}
	byteSize = &kind{example: "16 B", units: map[string]float64{"B": 1}, most: 1e3}
	flops    = &kind{example: "400 TFLOP/s", units: map[string]float64{"GFLOP/s": 1e9, "TFLOP/s": 1e12, "PFLOP/s": 1e15}, most: 1e18}
	rate     = &kind{example: "1.5 K tokens/s", units: map[string]float64{"tokens/s": 1}, most: 1e15}

	// Costs of a trillion tokens are said, speeds are meant.
	hoursPerT = &kind{example: "180 K h", units: hours.units, most: 1e16, over: 1e12}
	timePerT  = &kind{example: "3.7 d", units: seconds.units, most: 1e10, over: 1e12}

	tally = &kind{example: "419", bare: true, whole: true, units: map[string]float64{}, most: 1e9}
)

var (
	number  = `([0-9][0-9,]*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)`
	phrase  = regexp.MustCompile(`^(=|>=|>|<=|<|about|at least|at most|more than|less than|under|over)?\s*` + number + `\s*(?:to\s*` + number + `)?\s*(.*)$`)
	factors = map[string]float64{"K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
)

// vague is how far "about" reaches to both sides.
const vague = 0.1

// parse reads a quantity as people say it and returns what it leaves open, in
// base units, and its unit:
//
//	14.8 T       rounded: all that would be written so, 14.75 to 14.85 T
//	= 14.8 T     exactly that; counts are always exact
//	about 60 %   10 % more or less
//	> 32 T, at least 1000 cards, under 10 %
//	2 to 3 weeks
func (k *kind) parse(text string) (Interval, string, error) {
	m := phrase.FindStringSubmatch(strings.TrimSpace(text))
	if len(text) > 80 || m == nil {
		return Interval{}, "", fmt.Errorf("%.80q is no quantity: want a positive number with a unit, as in %q", text, k.example)
	}
	factor, unit, err := k.unit(m[4])
	if err != nil {
		return Interval{}, "", fmt.Errorf("%q: %w", text, err)
	}
	lo, hi := rounded(m[2], factor)
	if m[3] != "" {
		if m[1] != "" {
			return Interval{}, "", fmt.Errorf("%q: %q and a range exclude each other", text, m[1])
		}
		_, hi = rounded(m[3], factor)
	}
	x := readNumber(m[2]) * factor
	switch {
	case m[1] == "about":
		lo, hi = x*(1-vague), x*(1+vague)
	case slices.Contains([]string{">", ">=", "at least", "more than", "over"}, m[1]):
		lo, hi = x, math.Inf(1)
	case slices.Contains([]string{"<", "<=", "at most", "less than", "under"}, m[1]):
		lo, hi = 0, x
	case m[1] == "=" || k.whole:
		lo = x
		if m[3] == "" {
			hi = x
		} else {
			hi = readNumber(m[3]) * factor
		}
	}
	switch {
	case !(x > 0) || lo > hi || m[3] != "" && readNumber(m[3]) < readNumber(m[2]):
		return Interval{}, "", fmt.Errorf("%q must be positive, and a range ascend, as in %q", text, k.example)
	case x > k.most || !math.IsInf(hi, 1) && hi > 2*k.most:
		return Interval{}, "", fmt.Errorf("%q is larger than the largest legal value, %g in base units", text, k.most)
	case k.whole && x != math.Trunc(x):
		return Interval{}, "", fmt.Errorf("%q must be a whole number, as in %q", text, k.example)
	}
	if k.over != 0 {
		lo, hi = k.over/hi, k.over/lo
	}
	return Interval{lo, hi}, unit, nil
}

// unit splits what follows the number into a factor and a unit.
func (k *kind) unit(text string) (factor float64, unit string, err error) {
	text = strings.TrimSpace(text)
	if text == "" && k.bare {
		return 1, "", nil
	}
	if f, ok := k.units[text]; ok { // before factors: B is bytes where bytes are meant
		return f, text, nil
	}
	first, rest, _ := strings.Cut(text, " ")
	if f, ok := factors[first]; ok {
		rest = strings.TrimSpace(rest)
		if u, ok := k.units[rest]; ok {
			return f * u, rest, nil
		}
		if rest == "" && k.bare {
			return f, "", nil
		}
		if rest == "" {
			text = ""
		}
	}
	var legal []string
	for u := range k.units {
		legal = append(legal, u)
	}
	slices.Sort(legal)
	if k.bare {
		legal = append(legal, "none")
	}
	if text == "" {
		return 0, "", fmt.Errorf("the unit is missing: %s, as in %q", strings.Join(legal, ", "), k.example)
	}
	return 0, "", fmt.Errorf("unit %q is unknown: %s, as in %q", text, strings.Join(legal, ", "), k.example)
}

// rounded returns the numbers that are written like digits when rounded.
func rounded(digits string, factor float64) (lo, hi float64) {
	x := readNumber(digits)
	mantissa, exponent, _ := strings.Cut(strings.ToLower(digits), "e")
	_, decimals, _ := strings.Cut(mantissa, ".")
	e, _ := strconv.Atoi(exponent)
	half := 0.5 * math.Pow(10, float64(e-len(decimals)))
	return max(0, x-half) * factor, (x + half) * factor
}

// readNumber reads digits that phrase has found; too large a number is infinite
// and refused by its bound.
func readNumber(digits string) float64 {
	x, _ := strconv.ParseFloat(strings.ReplaceAll(digits, ",", ""), 64)
	return x
}
