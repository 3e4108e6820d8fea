package costmodel

import (
	"math"

	"github.com/temper-ml/temper/cluster/costmodel/fabric"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/hardware"
)

// used lists the constants that the model reads.
var used = []string{
	"product.share", "product.rate", "product.energy", "product.energy8", "product.start", "product.tile", "product.wave",
	"product.tensorwise", "product.rowwise", "product.blockwise", "product.grouped",
	"attention.share", "attention.portable", "attention.backward", "attention.start", "attention.wide", "attention.pieces",
	"vector.share", "vector.unfused", "kernel.gap", "host.launch", "host.slow",
	"link.inner", "link.outer", "link.alltoall", "link.half", "link.half_outer", "link.start",
	"overlap.tp", "overlap.cp", "overlap.ep", "overlap.dp", "overlap.slow",
	"step.fixed", "step.jitter", "routing.natural", "routing.pause", "device.cores",
}

// rates are the constants of one device and one workload, resolved.
type rates struct {
	product  map[operator.DType]float64 // FLOP/s of large products, power included
	peak     map[operator.DType]float64
	power    float64 // what power allows of the rate that products could have
	cores    float64
	start    float64 // seconds per tile
	tile     float64
	wave     float64
	grouped  float64
	attn     float64 // FLOP/s of long flash attention, forward
	backward float64
	ramp     float64
	wide     float64
	pieces   float64 // of attention over gathered keys, where a context parallel group has several ranks
	memory   float64 // bytes/s of vector kernels
	gap      float64
	host     float64
	tp       float64
	cp       float64
	ep       float64
	dp       float64
	slow     float64
	fixed    float64
	jitter   float64
	pause    float64
	fabric   fabric.Rates
}

// newRates resolves the constants.
func newRates(k *Constants, c *hardware.Cluster, e *operator.Engine, w Workload) *rates {
	device := DeviceKey(c.Device.Name)
	v := func(name string) float64 { return k.Value(name, device) }
	r := &rates{
		product: map[operator.DType]float64{}, peak: map[operator.DType]float64{},
		cores: cores(c, v("device.cores")), start: v("product.start"), tile: v("product.tile") * corePeak(c, cores(c, v("device.cores"))), wave: min(1, v("product.wave")), grouped: v("product.grouped"),
		backward: v("attention.backward"), ramp: v("attention.start"), wide: v("attention.wide"), pieces: 1,
		gap: v("kernel.gap"), host: v("host.launch"),
		tp: min(1, v("overlap.tp")), cp: min(1, v("overlap.cp")), ep: min(1, v("overlap.ep")), dp: min(1, v("overlap.dp")), slow: v("overlap.slow"),
		fixed: v("step.fixed"), jitter: v("step.jitter"), pause: v("routing.pause"),
		fabric: fabric.Rates{
			Inner: v("link.inner"), Outer: v("link.outer"), AllToAll: v("link.alltoall"),
			Half: v("link.half"), HalfOut: v("link.half_outer"), Start: v("link.start"),
		},
	}
	r.resolveProducts(k, c, w)
	r.attn = limited(r.peak[operator.BF16]*v("attention.share"), powerLimit(c, v("product.energy"))) * v("product.rate")
	if e.PortableAttention {
		r.attn *= v("attention.portable")
	}
	if e.CP == operator.AllGather {
		r.pieces = v("attention.pieces")
	}
	share := c.Device.Efficiency.Memory
	if share == 0 {
		share = 0.8
	}
	r.memory = c.Device.Bandwidth * min(1, share*v("vector.share"))
	if !e.FlashAttention {
		r.memory *= v("vector.unfused")
		r.host *= v("host.slow")
	}
	return r
}

// resolveProducts fills the rates of large products in every format.
func (r *rates) resolveProducts(k *Constants, c *hardware.Cluster, w Workload) {
	device := DeviceKey(c.Device.Name)
	v := func(name string) float64 { return k.Value(name, device) }
	power := powerLimit(c, v("product.energy"))
	share := v("product.share")
	if e := c.Device.Efficiency.Product; e > 0 { // the catalogue knows of kernels that fall short, or do not
		share = min(0.95, share*e/usualShare)
	}
	scaling := v("product.blockwise")
	switch w.Scaling {
	case "tensorwise":
		scaling = v("product.tensorwise")
	case "rowwise":
		scaling = v("product.rowwise")
	}
	for _, f := range []struct {
		d      operator.DType
		h      hardware.DType
		energy float64
		factor float64
	}{
		{operator.BF16, hardware.BF16, 1, 1},
		{operator.FP16, hardware.FP16, 1, 1},
		{operator.FP8, hardware.FP8, v("product.energy8"), scaling},
		{operator.MXFP8, hardware.FP8, v("product.energy8"), scaling},
		{operator.FP4, hardware.FP4, v("product.energy8") * 0.6, scaling},
		{operator.FP32, hardware.FP32, 2, 1},
	} {
		peak, ok := c.Device.PeakOf(f.h)
		if !ok {
			peak = usualPeak(c)
		}
		if tf, ok := c.Device.PeakOf(hardware.TF32); ok && f.d == operator.FP32 {
			peak = tf
		}
		r.peak[f.d] = peak
		if f.d == operator.DType(w.DType) {
			r.power = power / f.energy / (peak * share)
		}
		r.product[f.d] = limited(peak*share, power/f.energy) * v("product.rate") * f.factor
	}
}

// usualPeak is the rate of formats that the device does not multiply in itself:
// that of bf16, or of fp32 on devices that compute everything in it.
func usualPeak(c *hardware.Cluster) float64 {
	if peak, ok := c.Device.PeakOf(hardware.BF16); ok {
		return peak
	}
	peak, _ := c.Device.PeakOf(hardware.FP32)
	return peak
}

// powerLimit is the FLOP/s in bf16 that the device's power allows, at so many
// joules for 10^12; none where its power is not known.
func powerLimit(c *hardware.Cluster, energy float64) float64 {
	if c.Device.TDP <= 0 {
		return math.Inf(1)
	}
	return c.Device.TDP / (energy * 1e-12)
}

// usualShare is what the catalogue says of devices with tuned libraries.
const usualShare = 0.75

// cores returns the catalogue's number of cores, or the usual one; fewer for
// devices that are slower than one usual core would be for each.
func cores(c *hardware.Cluster, usual float64) float64 {
	if n := c.Device.Cores; n > 0 {
		return float64(n)
	}
	return max(1, min(usual, math.Ceil(usualPeak(c)/h100Core)))
}

// h100Core is the bf16 peak of one core of an H100.
const h100Core = 989.4e12 / 132

// corePeak returns the bf16 peak of one core over that of an H100's: the faster a
// core multiplies, the larger the tiles that keep it fed.
func corePeak(c *hardware.Cluster, cores float64) float64 {
	return usualPeak(c) / cores / h100Core
}

// limited is a smooth minimum of what the unit and what the power allow.
func limited(unit, power float64) float64 {
	const sharp = 6
	x := unit / power
	return unit / math.Pow(1+math.Pow(x, sharp), 1.0/sharp)
}
