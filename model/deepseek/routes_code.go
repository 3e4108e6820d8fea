package deepseek

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/temper-ml/temper/model/arch"
)

// Routes have one form as bytes, docs/routing.md: a byte that says whether there are
// picks, then block after block, each filled up to whole bytes, the experts of all
// tokens and the picks of all that have some.
const (
	codedExperts = 'e'
	codedRoutes  = 'r'
)

// AppendBinary appends r, routes of a model of that architecture, in a compact form.
func (r *Routes) AppendBinary(b []byte, cfg *arch.Config) ([]byte, error) {
	if err := r.Check(cfg); err != nil {
		return b, err
	}
	kind := byte(codedRoutes)
	if len(r.Picks) == 0 {
		kind = codedExperts
	}
	w := &bitWriter{b: append(b, kind)}
	sets, coder := newSubsets(cfg.Experts, cfg.TopK), pickCoder{k: cfg.IndexTopK}
	for l, experts := range r.Experts {
		for at := 0; at < len(experts); at += cfg.TopK {
			sets.put(w, experts[at:at+cfg.TopK])
		}
		if len(r.Picks) > 0 && r.Starts[l] != nil {
			coder.start()
			for t := range len(r.Starts[l]) - 1 {
				if picks := r.Picks[l][r.Starts[l][t]:r.Starts[l][t+1]]; len(picks) > 0 {
					coder.put(w, picks, (t+1)/routesRatio)
				}
			}
		}
		w.align()
	}
	return w.b, nil
}

// DecodeRoutes reads what AppendBinary wrote, of so many tokens, and nothing else. It
// takes memory for the tokens that data can hold.
func DecodeRoutes(data []byte, cfg *arch.Config, tokens int) (*Routes, error) {
	if tokens < 0 || tokens > cfg.MaxPositions {
		return nil, fmt.Errorf("deepseek: coded routes of %d tokens: the model has %d positions", tokens, cfg.MaxPositions)
	}
	if len(data) == 0 || data[0] != codedExperts && data[0] != codedRoutes {
		return nil, fmt.Errorf("deepseek: coded routes begin with %q, want %q or %q", data[:min(1, len(data))], codedRoutes, codedExperts)
	}
	r := NewRoutes(cfg)
	if data[0] == codedExperts {
		r = r.WithoutPicks()
	}
	in := &bitReader{b: data[1:]}
	sets, coder := newSubsets(cfg.Experts, cfg.TopK), pickCoder{k: cfg.IndexTopK}
	for l := range r.Experts {
		if err := r.decodeBlock(in, l, tokens, sets, &coder); err != nil {
			return nil, fmt.Errorf("deepseek: coded routes of %d tokens in %d bytes: block %d%w", tokens, len(data), l, err)
		}
	}
	if in.rest() > 0 {
		return nil, fmt.Errorf("deepseek: coded routes of %d tokens in %d bytes go on after the last block", tokens, len(data))
	}
	return r, r.Check(cfg)
}

// decodeBlock continues a message that names the block.
func (r *Routes) decodeBlock(in *bitReader, layer, tokens int, sets *subsets, coder *pickCoder) error {
	if r.Experts[layer] != nil {
		if in.rest() < tokens*int(sets.width) {
			return fmt.Errorf(" ends within its experts")
		}
		experts := make([]int32, tokens*sets.k)
		for t := range tokens {
			if !sets.take(in, experts[t*sets.k:(t+1)*sets.k]) {
				return fmt.Errorf(", token %d: there is no such choice of %d of %d experts", t, sets.k, sets.n)
			}
		}
		r.Experts[layer] = experts
	}
	if len(r.Picks) > 0 && r.Picks[layer] != nil {
		if err := r.decodePicks(in, layer, tokens, coder); err != nil {
			return err
		}
	}
	if !in.align() || in.short {
		return fmt.Errorf(" does not end with its last choice")
	}
	return nil
}

func (r *Routes) decodePicks(in *bitReader, layer, tokens int, coder *pickCoder) error {
	starts := make([]int32, 1, tokens+1)
	var picks []int32
	coder.start()
	for t := range tokens {
		if visible := (t + 1) / routesRatio; visible > coder.k {
			list, err := coder.take(in, visible)
			if err != nil {
				return fmt.Errorf(", token %d: %w", t, err)
			}
			picks = append(picks, list...)
		}
		starts = append(starts, int32(len(picks)))
	}
	r.Picks[layer], r.Starts[layer] = append(r.Picks[layer], picks...), starts
	return nil
}

// subsets numbers the ways to take k of n: the rank of ascending c is Σ C(c[i], i+1).
type subsets struct {
	n, k   int
	width  uint       // bits of a choice
	choose [][]uint64 // choose[i][c] = C(c, i+1); nil: more ways than 64 bits count, so each has its own bits
}

func newSubsets(n, k int) *subsets {
	s := &subsets{n: n, k: k}
	each := uint(bits.Len(uint(max(0, n-1))))
	s.width = each * uint(k)
	rows := make([][]uint64, k)
	for i := range rows {
		rows[i] = make([]uint64, n+1)
		for c := 1; c <= n; c++ {
			above := uint64(1)
			if i > 0 {
				above = rows[i-1][c-1]
			}
			sum, carry := bits.Add64(rows[i][c-1], above, 0)
			if carry != 0 {
				return s
			}
			rows[i][c] = sum
		}
	}
	if k > 0 && n > 0 {
		s.choose, s.width = rows, uint(bits.Len64(rows[k-1][n]-1))
	}
	return s
}

func (s *subsets) put(w *bitWriter, c []int32) {
	if s.choose == nil {
		for _, e := range c {
			w.put(uint64(e), s.width/uint(s.k))
		}
		return
	}
	rank := uint64(0)
	for i, e := range c {
		rank += s.choose[i][e]
	}
	w.wide(rank, s.width)
}

// take reads a choice and tells whether there is one.
func (s *subsets) take(r *bitReader, c []int32) bool {
	if s.choose == nil {
		for i := range c {
			c[i] = int32(r.take(s.width / uint(s.k)))
		}
		return ascending(c, s.n) == nil
	}
	rank := r.wide(s.width)
	if rank >= s.choose[s.k-1][s.n] {
		return false
	}
	top := s.n
	for i := s.k - 1; i >= 0; i-- {
		at, exact := slices.BinarySearch(s.choose[i][:top], rank)
		if exact { // the last of equals: C(c, i+1) is 0 for all c up to i
			for at+1 < top && s.choose[i][at+1] == rank {
				at++
			}
		} else {
			at--
		}
		c[i], top = int32(at), at
		rank -= s.choose[i][at]
	}
	return true
}
