package goodput

import "math"

// Young is Young's interval between checkpoints, √(2 C M): C seconds to save,
// M seconds between failures of the whole run.
func Young(save, mtbf float64) float64 { return math.Sqrt(2 * save * mtbf) }

// Daly is Daly's higher-order interval (2006, equation 37):
// √(2 C M) (1 + ⅓ √(C/2M) + ⅑ C/2M) - C below C = 2 M, and M from there on.
func Daly(save, mtbf float64) float64 {
	if save >= 2*mtbf {
		return mtbf
	}
	x := save / (2 * mtbf)
	return float64(math.Sqrt(2*save*mtbf)*(1+math.Sqrt(x)/3+x/9)) - save
}

// Expected is the expected wall time of work seconds of training with a
// checkpoint of save seconds after every interval, failures as a Poisson
// process of mean time mtbf, and recover seconds after each, during which it
// may fail again: M e^{R/M} (e^{(T+C)/M} - 1) for each interval, exactly.
func Expected(work, interval, save, recover, mtbf float64) float64 {
	return work / interval * mtbf * math.Exp(recover/mtbf) * math.Expm1((interval+save)/mtbf)
}

// Best is the interval at which Expected is smallest, found numerically. With
// Save 0 there is none: the answer is then the least interval given.
func Best(save, recover, mtbf, least float64) float64 {
	cost := func(interval float64) float64 { return Expected(1, interval, save, recover, mtbf) }
	low, high := math.Log(max(least, 1e-6)), math.Log(max(least, 1e-6)+float64(20*mtbf))
	const golden = 0.6180339887498949
	a, b := high-float64(golden*(high-low)), low+float64(golden*(high-low))
	fa, fb := cost(math.Exp(a)), cost(math.Exp(b))
	for high-low > 1e-6 {
		if fa <= fb {
			high, b, fb = b, a, fa
			a = high - float64(golden*(high-low))
			fa = cost(math.Exp(a))
		} else {
			low, a, fa = a, b, fb
			b = low + float64(golden*(high-low))
			fb = cost(math.Exp(b))
		}
	}
	return math.Exp((low + high) / 2)
}
