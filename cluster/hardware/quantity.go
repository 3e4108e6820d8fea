package hardware

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// kind is what a number measures; it decides which units it may have.
type kind uint8

const (
	text     kind = iota // not a number
	flopRate             // FLOP/s
	byteSize             // bytes
	byteRate             // bytes/s
	duration             // seconds
	power                // watts
	share                // of 1
	ratio                // a plain number
	count                // a whole number
	money                // per hour, with a currency
)

// A scale turns a number with a unit into base units: number × 10^exp × 2^bin
// × mul, where at most one differs from 1. Powers of ten move the decimal
// point of the text, so that "353.9 TFLOP/s" is the float64 nearest to it.
type scale struct {
	unit string
	exp  int
	bin  int
	mul  float64 // 0 for none
	main bool    // used for printing
}

// scales are the units of each kind.
var scales = map[kind][]scale{
	flopRate: append(prefixed("FLOP/s", true), append(prefixed("FLOPS", false), append(prefixed("OP/s", false), prefixed("OPS", false)...)...)...),
	byteSize: append(prefixed("B", true), binary("B")...),
	byteRate: append(prefixed("B/s", true), append(binary("B/s"), bits()...)...),
	duration: {
		{unit: "ns", exp: -9, main: true},
		{unit: "us", exp: -6, main: true},
		{unit: "µs", exp: -6},
		{unit: "μs", exp: -6},
		{unit: "ms", exp: -3, main: true},
		{unit: "s", main: true},
		{unit: "min", mul: 60, main: true},
		{unit: "h", mul: 3600, main: true},
		{unit: "d", mul: 86400, main: true},
	},
	power: {{unit: "W", main: true}, {unit: "kW", exp: 3, main: true}, {unit: "MW", exp: 6}},
	share: {{unit: "", main: true}, {unit: "%", exp: -2}},
	ratio: {{unit: "", main: true}},
	count: {{unit: "", main: true}},
}

func prefixed(unit string, main bool) []scale {
	s := []scale{{unit: unit, main: main}, {unit: "K" + unit, exp: 3}}
	for i, p := range []string{"k", "M", "G", "T", "P", "E"} {
		s = append(s, scale{unit: p + unit, exp: 3 * (i + 1), main: main})
	}
	return s
}

func binary(unit string) []scale {
	var s []scale
	for i, p := range []string{"Ki", "Mi", "Gi", "Ti", "Pi"} {
		s = append(s, scale{unit: p + unit, bin: 10 * (i + 1), main: true})
	}
	return s
}

func bits() []scale {
	var s []scale
	for _, unit := range []string{"b/s", "bit/s"} {
		for _, p := range prefixed(unit, false) {
			p.bin = -3
			s = append(s, p)
		}
	}
	return s
}

// examples shows one legal value of each kind.
var examples = map[kind]string{
	flopRate: "353.9 TFLOP/s", byteSize: "64 GiB", byteRate: "1.6 TB/s", duration: "5.5 us",
	power: "700 W", share: "0.7", ratio: "1.2", count: "8", money: "2.10 USD/h",
}

// parseQuantity reads a number with its unit.
func parseQuantity(k kind, s string) (float64, error) {
	digits, unit := splitNumber(s)
	if digits == "" {
		return 0, fmt.Errorf("must be a number with a unit, as in %q", examples[k])
	}
	var found *scale
	for i := range scales[k] {
		if scales[k][i].unit == unit {
			found = &scales[k][i]
		}
	}
	if found == nil {
		return 0, wrongUnit(k, digits, unit)
	}
	x, err := strconv.ParseFloat(shift(digits, found.exp), 64)
	if err != nil || math.IsInf(x, 0) {
		return 0, fmt.Errorf("must be a number that a float64 holds")
	}
	x = math.Ldexp(x, found.bin)
	if found.mul != 0 {
		x *= found.mul
	}
	if math.IsInf(x, 0) {
		return 0, fmt.Errorf("must be a number that a float64 holds")
	}
	if k == byteSize && found.unit != "B" {
		x = math.Round(x) // 79.1 GiB is no whole number of bytes
	}
	if (k == count || k == byteSize) && x != math.Trunc(x) {
		return 0, fmt.Errorf("must be a whole number, as in %q", examples[k])
	}
	return x, nil
}

// wrongUnit says which units there are.
func wrongUnit(k kind, digits, unit string) error {
	switch {
	case (k == count || k == ratio) && unit != "":
		return fmt.Errorf("must be a plain number without a unit, not in %q, as in %q", unit, examples[k])
	case unit == "":
		return fmt.Errorf("must have a unit, as in %q", examples[k])
	}
	var units []string
	for _, s := range scales[k] {
		if s.main && s.unit != "" {
			units = append(units, s.unit)
		}
	}
	if k == byteRate {
		units = append(units, "Gb/s (bits)")
	}
	if k == share {
		units = append(units, "% or none")
	}
	hint, near := "", nearest(unit, units)
	if slices.Contains(units, unit+"/s") {
		near = unit + "/s"
	}
	if near != "" {
		hint = fmt.Sprintf("; did you mean %q?", digits+" "+near)
	}
	return fmt.Errorf("unit %q is not one of %s%s", unit, strings.Join(units, ", "), hint)
}

// splitNumber splits "1.6 TB/s" into its number and its unit; digits is empty
// if s does not begin with a decimal number.
func splitNumber(s string) (digits, unit string) {
	s = strings.TrimSpace(s)
	i := 0
	run := func() int {
		n := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
			n++
		}
		return n
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		i++
	}
	n := run()
	if i < len(s) && s[i] == '.' {
		i++
		n += run()
	}
	if n == 0 {
		return "", s
	}
	// An exponent needs a digit after it, or "5 EFLOP/s" would lose its prefix.
	if mark := i; i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			i++
		}
		if run() == 0 {
			i = mark
		}
	}
	return s[:i], strings.TrimSpace(s[i:])
}

// shift multiplies decimal text by 10^exp without rounding.
func shift(digits string, exp int) string {
	mantissa, e, ok := strings.Cut(strings.ToLower(digits), "e")
	if ok {
		n, err := strconv.Atoi(e)
		if err != nil {
			n = 1 << 20 // overflows, or vanishes, as the text does
			if strings.HasPrefix(e, "-") {
				n = -n
			}
		}
		exp += n
	}
	return mantissa + "e" + strconv.Itoa(exp)
}
