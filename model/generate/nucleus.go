package generate

import "slices"

// nucleus returns the largest of ids, ascending, as few as have together at
// least the share topP of all. It reorders ids.
func nucleus(ids []int32, logits, p []float32, topP float32) []int32 {
	total := 0.0
	for _, i := range ids {
		total += float64(p[i])
	}
	h := ranking{ids, logits}
	h.init()
	target, sum := float64(float64(topP)*total), 0.0
	for len(h.ids) > 0 && sum < target {
		sum += float64(p[h.pop()])
	}
	kept := ids[len(h.ids):]
	slices.Sort(kept)
	return kept
}

// ranking is a heap of token ids, the one with the largest logit, of equals the
// lowest id, on top.
type ranking struct {
	ids    []int32
	logits []float32
}

// above tells whether id a comes before b.
func (r *ranking) above(a, b int32) bool {
	x, y := r.logits[a], r.logits[b]
	return x > y || x == y && a < b
}

func (r *ranking) init() {
	for i := len(r.ids)/2 - 1; i >= 0; i-- {
		r.down(i)
	}
}

// pop takes the top off; it goes where the heap ended.
func (r *ranking) pop() int32 {
	n := len(r.ids) - 1
	top := r.ids[0]
	r.ids[0], r.ids[n] = r.ids[n], top
	r.ids = r.ids[:n]
	r.down(0)
	return top
}

func (r *ranking) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(r.ids) {
			return
		}
		if c+1 < len(r.ids) && r.above(r.ids[c+1], r.ids[c]) {
			c++
		}
		if !r.above(r.ids[c], r.ids[i]) {
			return
		}
		r.ids[i], r.ids[c] = r.ids[c], r.ids[i]
		i = c
	}
}
