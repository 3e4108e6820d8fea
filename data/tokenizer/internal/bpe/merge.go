package bpe

// linearLongest is the longest word whose best pair is found by looking at all of them.
const linearLongest = 96

// A merger is the scratch memory for merging one word.
type merger struct {
	ids   []int32
	best  []uint64 // best[i] is the table value of (ids[i], ids[i+1])
	links []link
	heap  []candidate
}

// merge merges ids until no pair is in the table and returns what is left; it is valid until the next call.
func (g *merger) merge(t *pairTable) []int32 {
	if len(g.ids) < 2 {
		return g.ids
	}
	if len(g.ids) > linearLongest {
		return g.mergeHeap(t)
	}
	return g.mergeLinear(t)
}

// shrink lets go of memory that an extraordinary word has taken.
func (g *merger) shrink() {
	if cap(g.ids) > 1<<16 {
		*g = merger{}
	}
}

func (g *merger) mergeLinear(t *pairTable) []int32 {
	ids, best := g.ids, g.best[:0]
	for i := range len(ids) - 1 {
		best = append(best, t.get(ids[i], ids[i+1]))
	}
	g.best = best
	for len(best) > 0 {
		at, low := 0, best[0]
		for i, v := range best {
			if v < low {
				at, low = i, v
			}
		}
		if low == noMerge {
			break
		}
		ids[at] = int32(uint32(low))
		copy(ids[at+1:], ids[at+2:])
		ids = ids[:len(ids)-1]
		copy(best[at:], best[at+1:])
		best = best[:len(best)-1]
		if at > 0 {
			best[at-1] = t.get(ids[at-1], ids[at])
		}
		if at < len(best) {
			best[at] = t.get(ids[at], ids[at+1])
		}
	}
	return ids
}

// A link is a symbol in the doubly linked list of a long word; id -1 marks one merged away.
type link struct{ id, prev, next int32 }

// A candidate is the pair that started at symbol at when it was found.
type candidate struct {
	value uint64 // rank and token
	at    int32
}

func (c candidate) before(d candidate) bool {
	return c.value>>32 < d.value>>32 || c.value>>32 == d.value>>32 && c.at < d.at
}

func (g *merger) mergeHeap(t *pairTable) []int32 {
	n := int32(len(g.ids))
	g.links, g.heap = g.links[:0], g.heap[:0]
	for i, id := range g.ids {
		g.links = append(g.links, link{id, int32(i) - 1, int32(i) + 1})
	}
	l := g.links
	offer := func(at int32) {
		if at < 0 || l[at].next >= n {
			return
		}
		if v := t.get(l[at].id, l[l[at].next].id); v != noMerge {
			g.push(candidate{v, at})
		}
	}
	for i := range n {
		offer(i)
	}
	for len(g.heap) > 0 {
		c := g.pop()
		if l[c.at].id < 0 || l[c.at].next >= n {
			continue
		}
		right := l[c.at].next
		if v := t.get(l[c.at].id, l[right].id); v == noMerge || uint32(v) != uint32(c.value) {
			continue // the pair has changed since
		}
		l[c.at].id, l[c.at].next = int32(uint32(c.value)), l[right].next
		l[right].id = -1
		if l[c.at].next < n {
			l[l[c.at].next].prev = c.at
		}
		offer(l[c.at].prev)
		offer(c.at)
	}
	out := g.ids[:0]
	for i := int32(0); i < n; i = l[i].next {
		out = append(out, l[i].id)
	}
	return out
}

func (g *merger) push(c candidate) {
	g.heap = append(g.heap, c)
	h := g.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(h[up]) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (g *merger) pop() candidate {
	h := g.heap
	top := h[0]
	h[0] = h[len(h)-1]
	h = h[:len(h)-1]
	for i := 0; ; {
		kid := 2*i + 1
		if kid >= len(h) {
			break
		}
		if kid+1 < len(h) && h[kid+1].before(h[kid]) {
			kid++
		}
		if !h[kid].before(h[i]) {
			break
		}
		h[i], h[kid] = h[kid], h[i]
		i = kid
	}
	g.heap = h
	return top
}
