package validation

import (
	"math"
	"slices"
	"strconv"

	"github.com/temper-ml/temper/cluster/costmodel"
)

// Constants are the cost model's constants with the values of the fit, their
// standard errors, the systems that say most about each, the devices with
// enough rows and the widths of intervals: what costmodel/constants.yaml holds.
// The predictor must be a [CostModel].
func (v *Validation) Constants() (*costmodel.Constants, error) {
	m := v.Set.Predictor.(*CostModel)
	p := v.Set.Problem()
	var fitted []costmodel.Constant
	for j, k := range m.fitted {
		k.Value, k.Error, k.Fitted = rounded(math.Exp(v.Fit.Theta[j]), 4), 0, nil
		if v.Fit.Learned(p, j) >= told {
			k.Error, k.Fitted = rounded(v.Fit.StdErr[j], 2), v.tellers(p.Weight, j)
		}
		fitted = append(fitted, k)
	}
	var measured []string
	for i := range v.Set.Cases {
		if v.Set.Cases[i].Held || !v.known(v.Set.Cases[i].Device) {
			continue
		}
		c, err := v.Set.Cases[i].Cluster()
		if err != nil {
			return nil, err
		}
		if key := costmodel.DeviceKey(c.Device.Name); !slices.Contains(measured, key) {
			measured = append(measured, key)
		}
	}
	slices.Sort(measured)
	w := v.Widths
	for _, x := range []*float64{&w.Row, &w.System, &w.Device, &w.MoE, &w.Schedule, &w.Factor} {
		*x = rounded(*x, 3)
	}
	return m.constants.Fitted(fitted, measured, w)
}

// told is the share of a constant's variance that rows must have removed for it
// to count as fitted.
const told = 0.05

// tellers are the systems that hold at least a quarter of what the rows say
// about parameter j.
func (v *Validation) tellers(weight []float64, j int) []string {
	said := make([]float64, len(v.Set.systems))
	total := 0.0
	for i, row := range v.Fit.Jacobian {
		x := weight[i] * row[j] * row[j]
		said[v.Set.system[i]] += x
		total += x
	}
	var names []string
	for k, x := range said {
		if total > 0 && x >= total/4 {
			names = append(names, v.Set.systems[k])
		}
	}
	return names
}

// rounded keeps a few significant digits.
func rounded(x float64, digits int) float64 {
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return y
}
