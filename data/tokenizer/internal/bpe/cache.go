package bpe

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

const (
	cacheSlots   = 1 << 16
	cacheLongest = 64 // bytes; longer words are rare and not worth keeping
)

// A cache remembers words and their ids. A word lives in one of two neighbouring slots, a newer word
// replaces the older of two, so memory is bounded whatever the text. Readers and writers only load and
// store pointers to immutable entries, so any number of goroutines may share it.
type cache struct {
	seed  maphash.Seed
	slots [cacheSlots]atomic.Pointer[cacheEntry]
}

type cacheEntry struct {
	word string
	ids  []int32
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

// get returns the ids of word, and the slot for put when it has none.
func (c *cache) get(word string) (e *cacheEntry, slot uint64) {
	slot = maphash.String(c.seed, word) & (cacheSlots - 1)
	if e = c.slots[slot].Load(); e != nil && e.word == word {
		return e, slot
	}
	if e = c.slots[slot^1].Load(); e != nil && e.word == word {
		return e, slot
	}
	return nil, slot
}

// put remembers the ids of word; both are copied.
func (c *cache) put(slot uint64, word string, ids []int32) {
	if old := c.slots[slot].Load(); old != nil {
		c.slots[slot^1].Store(old)
	}
	c.slots[slot].Store(&cacheEntry{strings.Clone(word), append([]int32(nil), ids...)})
}
