package bpe

import (
	"container/heap"
	"maps"
	"slices"

	"github.com/temper-ml/temper/data/tokenizer/internal/pretoken"
)

// A Trainer learns merges from counted words, byte-level. It makes the choices of Hugging Face's
// BpeTrainer, so both give the same vocabulary: the pair with the highest count is merged next, among
// equals the one with the lower ids.
type Trainer struct {
	VocabSize    int
	MinFrequency int64
	Specials     []string // get the first ids; the 256 bytes follow
}

// Learned is the result of training. Tokens are in the order of their ids.
type Learned struct {
	Tokens []string
	Merges [][2]string
}

// A training is the state between two merges.
type training struct {
	tokens []string
	ids    map[string]int32
	words  [][]int32 // symbols of each word
	counts []int64   // occurrences of each word
	pairs  map[uint64]*pairState
	queue  pairQueue
	fresh  []*pairState // pairs that the running merge has created or increased
}

// A pairState counts one pair over all words. found lists words where the running merge made it; the
// queue entry made from it takes the list along.
type pairState struct {
	key   uint64
	count int64
	found []int32
}

// A queued is an entry of the queue: a pair, its count when it was queued, and the words to merge it in.
// When two pairs make the same token, the pairs of that token are queued once for each.
type queued struct {
	pair  *pairState
	count int64
	words []int32
}

type pairQueue []queued

func (q pairQueue) Len() int { return len(q) }
func (q pairQueue) Less(i, j int) bool {
	if q[i].count != q[j].count {
		return q[i].count > q[j].count
	}
	return q[i].pair.key < q[j].pair.key
}
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *pairQueue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *pairQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = queued{}
	*q = old[:len(old)-1]
	return last
}

// Train learns from words and how often each occurs.
func (tr Trainer) Train(words map[string]int64) Learned {
	t := &training{ids: map[string]int32{}, pairs: map[uint64]*pairState{}}
	for _, s := range tr.Specials {
		t.token(s)
	}
	symbol := t.alphabet()
	for _, w := range slices.Sorted(maps.Keys(words)) {
		ids := make([]int32, len(w))
		for i := range len(w) {
			ids[i] = symbol[w[i]]
		}
		t.words = append(t.words, ids)
		t.counts = append(t.counts, words[w])
	}
	t.countPairs()
	var merges [][2]string
	for len(t.tokens) < tr.VocabSize && len(t.queue) > 0 {
		top := &t.queue[0]
		if top.count != top.pair.count { // other merges have changed it since
			top.count = top.pair.count
			heap.Fix(&t.queue, 0)
			continue
		}
		if top.count < max(1, tr.MinFrequency) {
			break
		}
		q := heap.Pop(&t.queue).(queued)
		left, right := int32(q.pair.key>>32), int32(uint32(q.pair.key))
		merges = append(merges, [2]string{t.tokens[left], t.tokens[right]})
		t.apply(q.words, left, right, t.token(t.tokens[left]+t.tokens[right]))
	}
	return Learned{t.tokens, merges}
}

// token returns the id of a token, a new one if need be.
func (t *training) token(s string) int32 {
	id, ok := t.ids[s]
	if !ok {
		id = int32(len(t.tokens))
		t.ids[s] = id
		t.tokens = append(t.tokens, s)
	}
	return id
}

// alphabet adds the 256 byte symbols, by code point, and returns the id of each byte.
func (t *training) alphabet() [256]int32 {
	var symbol [256]int32
	for r := rune(0); r < 0x200; r++ {
		if b, ok := pretoken.RuneByte(r); ok {
			symbol[b] = t.token(string(r))
		}
	}
	return symbol
}

func (t *training) countPairs() {
	for w, ids := range t.words {
		for i := 1; i < len(ids); i++ {
			t.change(ids[i-1], ids[i], t.counts[w], int32(w))
		}
	}
	t.enqueue()
}

// change adds n to the count of a pair; an increase notes the word.
func (t *training) change(a, b int32, n int64, word int32) {
	key := pairKey(a, b)
	p := t.pairs[key]
	if p == nil {
		p = &pairState{key: key}
		t.pairs[key] = p
	}
	p.count += n
	if n <= 0 {
		return
	}
	if len(p.found) == 0 {
		t.fresh = append(t.fresh, p)
	}
	if len(p.found) == 0 || p.found[len(p.found)-1] != word {
		p.found = append(p.found, word)
	}
}

// enqueue queues the pairs that were created or increased since the last time.
func (t *training) enqueue() {
	for _, p := range t.fresh {
		if p.count > 0 {
			heap.Push(&t.queue, queued{p, p.count, p.found})
		}
		p.found = nil
	}
	t.fresh = t.fresh[:0]
}

// apply replaces left, right by merged in the listed words and updates the counts of their neighbours.
func (t *training) apply(words []int32, left, right, merged int32) {
	for _, w := range words {
		ids, n := t.words[w], t.counts[w]
		out := ids[:0]
		for i := 0; i < len(ids); i++ {
			if ids[i] != left || i+1 == len(ids) || ids[i+1] != right {
				out = append(out, ids[i])
				continue
			}
			if len(out) > 0 {
				t.change(out[len(out)-1], left, -n, w)
				t.change(out[len(out)-1], merged, n, w)
			}
			i++
			if i+1 < len(ids) {
				t.change(right, ids[i+1], -n, w)
				t.change(merged, ids[i+1], n, w)
			}
			out = append(out, merged)
		}
		t.words[w] = out
	}
	t.enqueue()
}
