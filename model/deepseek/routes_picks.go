package deepseek

import "fmt"

// pickCoder codes the picks of a block, token after token. A token's k picks of v
// visible entries are a bit and, whichever is shorter,
//
//	0  the picks, or the other v-k entries if they are fewer, as a list
//	1  how many picks of the token before are missing, which, and which of the
//	   entries that it had not picked take their place, as lists
//
// The first token that picks follows one with the first k entries.
type pickCoder struct {
	k          int
	before     []int32
	gone, come []int32 // changes: places in before, and among the entries not in it
	rest       []int32 // entries that are not picked
	picks      []int32
}

func (c *pickCoder) start() {
	c.before = c.before[:0]
	for i := range c.k {
		c.before = append(c.before, int32(i))
	}
}

// direct returns what is written of picks: themselves, or the others if they are fewer.
func (c *pickCoder) direct(picks []int32, visible int) []int32 {
	if visible-c.k >= c.k {
		return picks
	}
	c.rest = without(c.rest[:0], picks, visible)
	return c.rest
}

// without appends the numbers below n that are not in list.
func without(out, list []int32, n int) []int32 {
	at := 0
	for i := range int32(n) {
		if at < len(list) && list[at] == i {
			at++
		} else {
			out = append(out, i)
		}
	}
	return out
}

// compare finds the changes from the token before, and what either form takes.
func (c *pickCoder) compare(picks []int32, visible int) (direct []int32, changed bool) {
	c.gone, c.come = c.gone[:0], c.come[:0]
	i := 0
	for _, p := range picks {
		for ; i < len(c.before) && c.before[i] < p; i++ {
			c.gone = append(c.gone, int32(i))
		}
		if i < len(c.before) && c.before[i] == p {
			i++
		} else {
			c.come = append(c.come, p-int32(i))
		}
	}
	for ; i < len(c.before); i++ {
		c.gone = append(c.gone, int32(i))
	}
	direct = c.direct(picks, visible)
	n := gammaBits(len(c.come)) + riceBits(c.gone, c.k) + riceBits(c.come, visible-c.k)
	return direct, n < riceBits(direct, visible)
}

func (c *pickCoder) put(w *bitWriter, picks []int32, visible int) {
	direct, changed := c.compare(picks, visible)
	if changed {
		w.put(1, 1)
		w.gamma(len(c.come))
		w.list(c.gone, c.k)
		w.list(c.come, visible-c.k)
	} else {
		w.put(0, 1)
		w.list(direct, visible)
	}
	c.before = append(c.before[:0], picks...)
}

// take reads the picks of a token, which are valid until the next call. It accepts
// the form that put chooses only.
func (c *pickCoder) take(r *bitReader, visible int) ([]int32, error) {
	changed := r.take(1) == 1
	ok := true
	if !changed {
		n := min(c.k, visible-c.k)
		if c.rest, ok = r.list(c.rest, n, visible); !ok {
			return nil, fmt.Errorf("there is no list of %d of %d entries", n, visible)
		}
		c.picks = append(c.picks[:0], c.rest...)
		if n < c.k {
			c.picks = without(c.picks[:0], c.rest, visible)
		}
	} else {
		most := min(c.k, visible-c.k)
		n := r.gamma(most)
		if n > most {
			return nil, fmt.Errorf("more than %d picks change", most)
		}
		if c.gone, ok = r.list(c.gone, n, c.k); ok {
			c.come, ok = r.list(c.come, n, visible-c.k)
		}
		if !ok {
			return nil, fmt.Errorf("there are no lists of %d changes of %d of %d entries", n, c.k, visible)
		}
		c.apply()
	}
	if _, shorter := c.compare(c.picks, visible); shorter != changed {
		return nil, fmt.Errorf("its picks are written in the longer form")
	}
	c.before = append(c.before[:0], c.picks...)
	return c.picks, nil
}

// apply makes picks of the token before and the changes.
func (c *pickCoder) apply() {
	c.picks = c.picks[:0]
	at, gone := 0, 0
	keep := func() {
		if gone < len(c.gone) && int(c.gone[gone]) == at {
			gone++
		} else {
			c.picks = append(c.picks, c.before[at])
		}
		at++
	}
	for _, rank := range c.come {
		for at < len(c.before) && c.before[at]-int32(at) <= rank {
			keep()
		}
		c.picks = append(c.picks, rank+int32(at))
	}
	for at < len(c.before) {
		keep()
	}
}
