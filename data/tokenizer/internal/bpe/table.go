package bpe

// A pairTable maps a pair of ids to rank<<32 | id of the merged token. It is an open-addressed hash
// table with linear probing, at most half full, read-only once built.
type pairTable struct {
	slots []pairSlot
	shift uint
}

type pairSlot struct{ key, value uint64 }

const (
	emptyKey = ^uint64(0) // no pair: ids are not negative
	noMerge  = ^uint64(0) // sorts behind every rank
)

func pairKey(a, b int32) uint64 { return uint64(uint32(a))<<32 | uint64(uint32(b)) }

func newPairTable(n int) *pairTable {
	bits := uint(4)
	for 1<<bits < 2*n {
		bits++
	}
	t := &pairTable{slots: make([]pairSlot, 1<<bits), shift: 64 - bits}
	for i := range t.slots {
		t.slots[i].key = emptyKey
	}
	return t
}

// put sets the value of key, replacing an older one.
func (t *pairTable) put(key, value uint64) {
	mask := uint64(len(t.slots) - 1)
	i := key * 0x9E3779B97F4A7C15 >> t.shift
	for ; t.slots[i].key != emptyKey && t.slots[i].key != key; i = (i + 1) & mask {
	}
	t.slots[i] = pairSlot{key, value}
}

// get returns the value of the pair (a, b), or noMerge.
func (t *pairTable) get(a, b int32) uint64 {
	key := pairKey(a, b)
	mask := uint64(len(t.slots) - 1)
	for i := key * 0x9E3779B97F4A7C15 >> t.shift; ; i = (i + 1) & mask {
		s := &t.slots[i&mask]
		if s.key == key {
			return s.value
		}
		if s.key == emptyKey {
			return noMerge
		}
	}
}
