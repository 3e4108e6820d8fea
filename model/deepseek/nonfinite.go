package deepseek

import (
	"errors"
	"fmt"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/nn"
)

// ErrNonFinite is what every [NonFiniteError] is.
var ErrNonFinite = errors.New("not finite")

// NonFiniteError tells where a step first met NaN or infinity. The caller adds
// which micro-batch it was.
type NonFiniteError struct {
	Pass     string // "forward" or "backward"
	Layer    int    // block, MTP blocks after the trunk; -1 = outside all blocks
	Sublayer string // "attention", "feed-forward", "embedding" or "head"
	Token    int    // position in the micro-batch, -1 = unknown
	Tensor   string // first parameter of that layer with a non-finite value or gradient, "" if all are finite
}

// Error says the place, and what to suspect.
func (e *NonFiniteError) Error() string {
	where := e.Sublayer
	if e.Layer >= 0 {
		where = fmt.Sprintf("%s of layer %d", e.Sublayer, e.Layer)
	}
	msg := fmt.Sprintf("deepseek: %s pass is not finite after %s", e.Pass, where)
	if e.Token >= 0 {
		msg += fmt.Sprintf(", first at token %d of the micro-batch", e.Token)
	}
	if e.Tensor != "" {
		return msg + fmt.Sprintf("; parameter %s holds a non-finite value", e.Tensor)
	}
	return msg + "; its parameters are finite, so an activation overflowed"
}

// Is makes errors.Is(err, ErrNonFinite) true.
func (e *NonFiniteError) Is(target error) bool { return target == ErrNonFinite }

// nonFinite builds the error for a sublayer and looks for the guilty parameter.
func (m *Model) nonFinite(layer int, sublayer, pass string, token int) error {
	e := &NonFiniteError{Pass: pass, Layer: layer, Sublayer: sublayer, Token: token}
	for _, p := range m.params {
		if p.Layer == layer && !p.Frozen && kernel.FirstNonFinite(p.Data) >= 0 {
			e.Tensor = p.Name
			break
		}
	}
	return e
}

// checkForward looks at what the sublayers of b read, and at what out read if it
// is not nil, without another pass over the streams: their root mean squares are
// known.
func (m *Model) checkForward(b *block, out *output) error {
	if bad := b.attn.badToken(); bad >= 0 {
		return m.badInput(b.layer, bad)
	}
	if bad := b.ffn.badToken(); bad >= 0 {
		return m.nonFinite(b.layer, b.attn.name, "forward", bad)
	}
	if out != nil {
		if bad := out.badToken(); bad >= 0 {
			return m.nonFinite(b.layer, b.ffn.name, "forward", bad)
		}
	}
	return nil
}

// badInput blames what comes before the given block.
func (m *Model) badInput(layer, token int) error {
	switch layer {
	case 0:
		return m.nonFinite(-1, "embedding", "forward", token)
	case m.cfg.NumLayers: // the trunk's end was checked: the join of the MTP block broke
		return m.nonFinite(layer, "mtp projection", "forward", token)
	}
	return m.nonFinite(layer-1, "feed-forward", "forward", token)
}

// gradientError is a NonFiniteError of the backward pass.
func gradientError(layer int, sublayer string, token int) error {
	return &NonFiniteError{Pass: "backward", Layer: layer, Sublayer: sublayer, Token: token}
}

// checkGradient looks at the gradient dx [T, S·D] that leaves a sublayer
// backwards.
func checkGradient(dx []float32, layer int, r *residual, p *nn.Pass) error {
	if i := kernel.FirstNonFinite(dx); i >= 0 {
		return gradientError(layer, r.name, i/(len(dx)/p.T()))
	}
	return nil
}

// CheckGradients returns a [NonFiniteError] for the first parameter, in the
// architecture's order, whose gradient is not finite; nil if all are. It reads
// every gradient, so callers use it when the gradient's norm is not finite.
func (m *Model) CheckGradients() error {
	for _, p := range m.params {
		if p.Grad != nil && kernel.FirstNonFinite(p.Grad) >= 0 {
			return &NonFiniteError{Pass: "backward", Layer: p.Layer, Sublayer: string(p.Role), Token: -1, Tensor: p.Name}
		}
	}
	return nil
}
