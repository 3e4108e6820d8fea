package audit

import (
	"fmt"
	"math"
	"slices"
)

// subject is what a claim is about, and which statements say so.
type subject struct {
	claim    *Claim
	model    *Model
	hardware *Hardware

	modelBy, hardwareBy, fullBy, dtypeBy, offloadBy, seqBy set

	full           bool
	dtype, offload string
	seq            int
	against        string
	assumed        []string
	ambiguous      bool // the number of devices may mean cards or dies
}

// newSubject looks up what the statements name.
func newSubject(c *Claim, w World) (*subject, error) {
	u := &subject{claim: c}
	model, hardware := "", ""
	for i := range c.Statements {
		s, bit := &c.Statements[i], set(1)<<i
		for _, f := range []struct {
			value string
			to    *string
			by    *set
		}{
			{s.Model, &model, &u.modelBy},
			{s.Hardware, &hardware, &u.hardwareBy},
			{s.DType, &u.dtype, &u.dtypeBy},
			{s.Offload, &u.offload, &u.offloadBy},
			{s.Against, &u.against, new(set)},
		} {
			if f.value != "" && *f.to == "" {
				*f.to, *f.by = f.value, bit
			}
		}
		if s.Seq > 0 && u.seq == 0 {
			u.seq, u.seqBy = s.Seq, bit
		}
		if s.Method == "full-parameter" && !u.full {
			u.full, u.fullBy = true, bit
		}
	}
	var err error
	if model != "" {
		if u.model, err = w.Model(model, u.seq); err != nil {
			return nil, err
		}
	}
	if hardware != "" {
		if u.hardware, err = w.Hardware(hardware); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// givens are all that is said, and all that is known about what is named.
func (u *subject) givens() []given {
	out := []given{
		{vMFU, Interval{0, 1}, 0, "by definition", true},
		{vGoodput, Interval{0, 1}, 0, "by definition", true},
		{vFill, Interval{0, 1}, 0, "state must lie in memory", true},
		{vTrainShare, Interval{0, 1}, 0, "training is a part of it; generation and scoring are the rest", true},
		{vDevices, Interval{1, math.Inf(1)}, 0, "by definition", true},
		{vSteps, Interval{1, math.Inf(1)}, 0, "by definition", true},
	}
	for i := range u.claim.Statements {
		s, bit := &u.claim.Statements[i], set(1)<<i
		for _, q := range s.quantities() {
			in, unit, err := q.kind.parse(q.text)
			if err != nil {
				continue // Check has refused it
			}
			need := bit
			if u.hardware != nil && u.hardware.PerCard > 1 {
				if wider := u.inDevices(q.of, in, unit); wider != in {
					in, need = wider, need|u.hardwareBy
				}
			}
			out = append(out, given{q.of, in, need, "said: " + q.text, false})
			if q.of == vActive && u.model == nil {
				out = append(out, given{
					vFLOPsPerToken,
					Interval{4 * in.Lo, math.Inf(1)},
					bit,
					"6 for each active parameter; up to a third may be tables that are only read", true,
				})
			}
		}
	}
	return append(out, append(u.modelFacts(), u.hardwareFacts()...)...)
}

// inDevices turns a number of cards into one of devices. Where the text leaves
// open which is meant, both stay possible.
func (u *subject) inDevices(v variable, in Interval, unit string) Interval {
	n := float64(u.hardware.PerCard)
	switch {
	case v == vDevices && unit == "cards":
		return in.Mul(Exactly(n))
	case v == vDevices && unit != "dies":
		u.ambiguous = true
		return Interval{in.Lo, in.Hi * n}
	case v == vDeviceTime:
		return Interval{in.Lo, in.Hi * n}
	case v == vMeanRate || v == vTokenRate || v == vRate: // of a card, or of a device of it
		return Interval{in.Lo / n, in.Hi}
	case v == vPrice:
		return Interval{in.Lo / n, in.Hi}
	}
	return in
}

func (u *subject) assume(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(u.assumed, text) {
		u.assumed = append(u.assumed, text)
	}
}

func (u *subject) modelFacts() []given {
	if u.model == nil {
		return nil
	}
	m := u.model
	rows := "rows of any length"
	if u.seq > 0 {
		rows = fmt.Sprintf("rows of %d tokens", u.seq)
	}
	u.assume("%s: %s parameters; %s a token, forward and backward, over conventions of counting and %s", m.Name, show(vParameters, m.Parameters), show(vFLOPsPerToken, m.FLOPsPerToken), rows)
	out := []given{
		{vParameters, m.Parameters, u.modelBy, "architecture of " + m.Name, true},
		{vFLOPsPerToken, m.FLOPsPerToken, u.modelBy | u.seqBy, "architecture of " + m.Name + ", " + rows, true},
		{vPreFLOPsPerToken, m.FLOPsPerToken, u.modelBy | u.seqBy, "architecture of " + m.Name + ", " + rows, true},
	}
	if m.Active.Hi > 0 {
		out = append(out, given{vActive, m.Active, u.modelBy, "architecture of " + m.Name, true})
	}
	if m.Pretraining > 0 {
		u.assume("%s: %s tokens of pre-training, %s", m.Name, decimal(m.Pretraining), m.PretrainSource)
		out = append(out, given{vPreTokens, Interval{m.Pretraining * 0.98, m.Pretraining * 1.02}, u.modelBy, m.PretrainSource, true})
	}
	return out
}

func (u *subject) hardwareFacts() []given {
	var out []given
	if u.full {
		u.assume("full-parameter training holds at least 2 bytes for each parameter (16-bit weights alone), and an update writes at least 1; usual state is 12 (Muon) to 16 (AdamW, mixed precision) or more")
		out = append(out,
			given{vStatePer, Interval{2, math.Inf(1)}, u.fullBy, "16-bit weights alone", true},
			given{vWrittenPer, Interval{1, math.Inf(1)}, u.fullBy, "an update changes every parameter", true})
	}
	h := u.hardware
	if h == nil {
		return out
	}
	by := u.hardwareBy
	peak, formats := u.peak()
	u.assume("%s: peak of a device %s (%s); memory %s, %s; links: %s", h.Title, show(vPeak, peak), formats, show(vMemory, h.Memory), show(vBandwidth, h.Bandwidth), h.Links)
	if peak.Hi > 0 {
		out = append(out, given{vPeak, peak, by | u.dtypeBy, "catalogue, " + formats, true})
	}
	out = append(out, given{vBandwidth, Interval{0, h.Bandwidth.Hi}, by, "catalogue", true})
	if h.Achievable > 0 && peak.Hi > 0 {
		why := fmt.Sprintf("large products reach at most %.0f %% of peak, after the catalogue", h.Achievable*100)
		u.assume("%s: %s (the best figure known, no law)", h.Name, why)
		out = append(out, given{vRate, Interval{0, peak.Hi * h.Achievable}, by | u.dtypeBy, why, true})
		if u.dtype != "" || peak.Lo == peak.Hi {
			out = append(out, given{vMFU, Interval{0, h.Achievable}, by | u.dtypeBy, why, true})
		}
	}
	switch u.offload {
	case "none":
		out = append(out, given{vMemory, h.Memory, by | u.offloadBy, "catalogue", true})
	case "host":
		out = append(out, given{vMemory, Interval{h.Memory.Lo, h.Memory.Hi + h.Host.Hi}, by | u.offloadBy, "catalogue, host memory included", true})
	default:
		u.assume("whether state leaves device memory is not said, so memory alone refuses nothing")
	}
	return out
}

// peak is the peak of the format that was said, or of all formats that may have
// been meant.
func (u *subject) peak() (Interval, string) {
	formats := []string{"bf16", "fp16", "fp8", "fp4"}
	if u.dtype != "" {
		formats = []string{u.dtype}
		if u.dtype == "mxfp8" {
			formats = []string{"fp8"}
		}
	}
	out, names := Interval{math.Inf(1), 0}, ""
	for _, f := range formats {
		if p, ok := u.hardware.Peak[f]; ok {
			out.Lo, out.Hi = min(out.Lo, p.Lo), max(out.Hi, p.Hi)
			if names != "" {
				names += " or "
			}
			names += f
		}
	}
	if names == "" {
		return Interval{}, formats[0] + " is not native"
	}
	return out, names
}
