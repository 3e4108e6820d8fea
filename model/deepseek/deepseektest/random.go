package deepseektest

import (
	"math"
	"strings"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/arch"
)

// RandomParams draws parameters that exercise every term of the model: norm weights away from 1, selection biases, sinks and
// position biases away from 0, matrices at a scale that keeps activations near 1, expert tables with K distinct experts per
// token. Values are rounded to float32, so that an engine can hold exactly the same ones.
func RandomParams(c *arch.Config, seed uint64) map[string][]float64 {
	params := map[string][]float64{}
	for _, t := range c.Tensors() {
		s := detrand.Key(seed, "deepseektest:"+t.Name)
		data := make([]float64, t.Len())
		if t.Role == arch.GateHash {
			for row := range t.Rows() {
				for j, e := range detrand.Key(seed, t.Name, uint64(row)).Permutation(c.Experts)[:c.TopK] {
					data[row*c.TopK+j] = float64(e)
				}
			}
			params[t.Name] = data
			continue
		}
		mean, std := spread(t)
		for i := range data {
			data[i] = float64(float32(mean + float64(std*s.NormalAt(uint64(i)))))
		}
		params[t.Name] = data
	}
	return params
}

func spread(t arch.Tensor) (mean, std float64) {
	switch {
	case strings.HasSuffix(string(t.Role), "norm"):
		return 1, 0.2
	case t.Role == arch.GateBias:
		return 0, 0.1
	case strings.HasSuffix(string(t.Role), "_scale"):
		return 0.5, 0.1
	case len(t.Shape) == 1 || strings.HasSuffix(string(t.Role), "ape"):
		return 0, 0.5
	case t.Role == arch.Embed:
		return 0, 1
	}
	return 0, 1 / math.Sqrt(float64(t.Cols()))
}
