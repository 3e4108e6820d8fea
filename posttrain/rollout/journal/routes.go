package journal

import (
	"encoding/binary"
	"fmt"
)

// Layer is the choices of one layer for the tokens of a sequence: see
// [deepseek.Routes].
type Layer struct {
	// Experts are as many for each token, nil if the layer has none.
	Experts []int32
	// Picks of token t lie from Starts[t] up to Starts[t+1]; nil if the layer makes none.
	Picks, Starts []int32
}

// appendRoutes adds the payload of a layer: varints of the answer, of the layer, of
// the number of tokens, of experts for each of them, and 1 if it has picks. For each
// token come its experts, then the number of its picks and these: every number of a
// token as the varint of what it is more than the one before.
func appendRoutes(b []byte, answer, layer, tokens int, l *Layer) ([]byte, error) {
	k := 0
	if tokens > 0 {
		k = len(l.Experts) / tokens
	}
	if k*tokens != len(l.Experts) || l.Starts != nil && len(l.Starts) != tokens+1 {
		return b, fmt.Errorf("layer %d has %d experts and %d lists of entries for %d tokens", layer, len(l.Experts), len(l.Starts)-1, tokens)
	}
	for _, v := range []int{answer, layer, tokens, k} {
		b = binary.AppendUvarint(b, uint64(v))
	}
	picks := byte(0)
	if l.Starts != nil {
		picks = 1
	}
	b = append(b, picks)
	for t := range tokens {
		b = appendRising(b, l.Experts[k*t:k*t+k])
		if l.Starts != nil {
			list := l.Picks[l.Starts[t]:l.Starts[t+1]]
			b = appendRising(binary.AppendUvarint(b, uint64(len(list))), list)
		}
	}
	return b, nil
}

func appendRising(b []byte, list []int32) []byte {
	last := int32(0)
	for _, v := range list {
		b = binary.AppendUvarint(b, uint64(uint32(v-last)))
		last = v
	}
	return b
}

// rising appends n numbers to list.
func (r *reader) rising(list []int32, n int) []int32 {
	last := int32(0)
	for range n {
		d := r.uvarint()
		if d > 1<<32-1 {
			r.bad = true
		}
		last += int32(uint32(d))
		list = append(list, last)
	}
	return list
}

// routes takes the payload of a layer in. Layers come in order; the first one begins
// an answer's routes anew.
func (s *State) routes(r *reader) error {
	answer, layer, tokens, k := r.uvarint(), r.uvarint(), r.uvarint(), r.uvarint()
	picks := r.byte()
	left := uint64(r.left())
	each := min(k, left+1) + uint64(picks) // bytes of a token, at least
	switch {
	case answer >= uint64(s.Header.Capacity()) || picks > 1 || r.bad:
		return errPayload
	case each == 0 && left > 0, each > 0 && tokens > left/each:
		return errPayload
	}
	var l Layer
	if k > 0 {
		l.Experts = make([]int32, 0, tokens*k)
	}
	if picks == 1 {
		l.Picks, l.Starts = []int32{}, append(make([]int32, 0, tokens+1), 0)
	}
	for t := uint64(0); t < tokens && each > 0; t++ {
		l.Experts = r.rising(l.Experts, int(k))
		if picks == 1 {
			n := r.uvarint()
			if n > uint64(r.left()) {
				return errPayload
			}
			l.Picks = r.rising(l.Picks, int(n))
			l.Starts = append(l.Starts, int32(len(l.Picks)))
		}
		if r.bad {
			return errPayload
		}
	}
	if r.left() > 0 {
		return errPayload
	}
	return s.route(int(answer), int(min(layer, maxAnswers)), l)
}

func (s *State) route(answer, layer int, l Layer) error {
	x := s.Answers[answer]
	if x == nil {
		x = &Answer{}
		s.Answers[answer] = x
	}
	if layer == 0 {
		x.Routes = nil
	}
	if layer != len(x.Routes) {
		return fmt.Errorf("answer %d has routes of layer %d after those of %d layers", answer, layer, len(x.Routes))
	}
	x.Routes = append(x.Routes, l)
	return nil
}
