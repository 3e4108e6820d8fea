package audit

import (
	"context"
	"fmt"
	"math"
)

// mostDevices bounds what is worth predicting.
const mostDevices = 1 << 20

// predict asks for the claim's step under each reading of its number of devices,
// and for the same number of the hardware to compare with.
func (r *Report) predict(ctx context.Context, u *subject, w World, s *state, other *Hardware) error {
	r.Predicted = Predictions{Runs: []*Prediction{}, Compare: []*Prediction{}}
	n, least, unit := u.saidDevices()
	if n == 0 {
		if i := s.get(vDevices); i.Lo > 1 && i.Hi <= 1.5*i.Lo {
			n = int(math.Ceil(i.Lo))
		}
	}
	if u.model == nil || u.hardware == nil || n == 0 || n > mostDevices {
		return nil
	}
	req := Request{Model: u.model.Name, Hardware: u.hardware.Name, Devices: n, Seq: u.seq, DType: u.dtype, Offload: u.offload}
	if b := s.get(vBatch); b.Bounded() && b.Hi <= 1.5*b.Lo {
		req.BatchTokens = b
	}
	bound := ""
	if least {
		bound = "the fewest that the claim allows, "
	}
	readings := []struct {
		name string
		of   int
	}{{bound + "as said", 1}}
	switch per := u.hardware.PerCard; {
	case per > 1 && unit == "cards":
		readings[0].name, readings[0].of = bound+fmt.Sprintf("%d cards", n), per
	case per > 1 && unit != "dies":
		readings = append(readings[:0], readings[0], readings[0])
		readings[0].name = bound + fmt.Sprintf("%d read as devices", n)
		readings[1].name, readings[1].of = bound+fmt.Sprintf("%d read as cards", n), per
	}
	for _, reading := range readings {
		q := req
		q.Devices = n * reading.of
		p, err := w.Predict(ctx, q)
		if err != nil {
			return err
		}
		p.Reading = reading.name
		r.Predicted.Runs = append(r.Predicted.Runs, p)
	}
	if other.Name != u.hardware.Name {
		q := req
		q.Hardware, q.DType, q.Offload = other.Name, "", ""
		p, err := w.Predict(ctx, q)
		if err != nil {
			return err
		}
		p.Reading = "to compare with"
		r.Predicted.Compare = append(r.Predicted.Compare, p)
	}
	r.finishPredictions(s, least)
	return nil
}

// finishPredictions adds how long the claim's tokens take, and what was asked.
func (r *Report) finishPredictions(s *state, least bool) {
	tokens := s.get(vTokens)
	for _, p := range append(append([]*Prediction{}, r.Predicted.Runs...), r.Predicted.Compare...) {
		if p.Fits && p.Used > 0 && tokens != Anything {
			t := tokens.Div(p.PerDevice.Mul(Exactly(float64(p.Devices))))
			p.Seconds = &t
		}
	}
	seq := 0
	for _, p := range r.Predicted.Runs {
		seq = p.Seq
	}
	r.Predicted.Statement = fmt.Sprintf("training steps on rows of %d tokens, without generation, failures and pauses; batch, rows and format are the claim's where it says them, else usual ones", seq)
	if least {
		r.Predicted.Statement += "; more devices are allowed by the claim"
	}
}

// roundest returns the number from lo to hi that the highest power of two divides:
// "about 1000" devices are rather 1024 than 1000 where layouts must divide them.
func roundest(lo, hi int) int {
	for p := 1 << 30; p > 1; p /= 2 {
		if n := (lo + p - 1) / p * p; n <= hi {
			return n
		}
	}
	return lo
}

// saidDevices returns the number of devices as it was said: where that leaves a
// range, the roundest of it.
func (u *subject) saidDevices() (n int, least bool, unit string) {
	for i := range u.claim.Statements {
		if text := u.claim.Statements[i].Devices; text != "" {
			if in, unit, err := devices.parse(text); err == nil && in.Lo >= 1 {
				if least = math.IsInf(in.Hi, 1); least {
					return int(in.Lo), true, unit
				}
				return roundest(int(math.Ceil(in.Lo)), int(in.Hi)), false, unit
			}
		}
	}
	return 0, false, ""
}
