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

// A cache remembers words and their ids. It holds at most one word per slot, so its memory is bounded
// whatever the text; a newer word replaces an older one. Readers and writers only load and store
// pointers to immutable entries, so any number of goroutines may share it.
type cache struct {
	seed  maphash.Seed
	slots [cacheSlots]atomic.Pointer[cacheEntry]
}

type cacheEntry struct {
	word string
	ids  []int32
}

func newCache() *cache { return &cache{seed: maphash.MakeSeed()} }

func (c *cache) slot(word string) *atomic.Pointer[cacheEntry] {
	return &c.slots[maphash.String(c.seed, word)&(cacheSlots-1)]
}

func (c *cache) put(slot *atomic.Pointer[cacheEntry], word string, ids []int32) {
	slot.Store(&cacheEntry{strings.Clone(word), append([]int32(nil), ids...)})
}
