package deepseek

import (
	"fmt"

	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/nn/attention"
)

// CacheOptions say what a [Cache] must be able to hold.
type CacheOptions struct {
	// Context is the most tokens of a sequence: 0 stands for the model's.
	Context int
	// Back is how many tokens [Sequence.Truncate] can take off.
	Back int
	// Latent makes V3's attention keep latent vectors and compute keys and values
	// of all heads again in every pass: less memory, more time, the same bits.
	Latent bool
	// Predict keeps what [Cache.Predict] needs: the model must have an MTP block.
	Predict bool
	// Bytes bounds the memory of what grows with sequences.
	Bytes int64
}

func (o CacheOptions) reach() attention.Reach {
	return attention.Reach{Context: o.Context, Back: o.Back, Latent: o.Latent}
}

// CacheSize is the memory that sequences take.
type CacheSize struct {
	PageBytes int64 // of a page, the unit in which memory grows
	Sequence  int64 // bytes of a sequence besides its pages, whatever its length
	rows      []attention.Rows
	// From row ahead on, rows are of an MTP block, which sees tokens up to lag later.
	ahead, lag int
}

// Pages returns how many pages a sequence of that many tokens takes.
func (s *CacheSize) Pages(tokens int) int {
	n := 0
	for _, r := range s.rows {
		n += r.Pages(tokens, int(s.PageBytes/4))
	}
	return n
}

// SharedPages returns how many pages a fork of a sequence of that many tokens
// shares with it for as long as both are there.
func (s *CacheSize) SharedPages(tokens int) int {
	n := 0
	for i, r := range s.rows {
		seen := tokens
		if i >= s.ahead {
			seen = max(0, tokens-s.lag)
		}
		n += seen / r.Ratio / (int(s.PageBytes/4) / r.Width)
	}
	return n
}

// PerToken returns how many bytes each further token of a long sequence takes.
func (s *CacheSize) PerToken() float64 {
	sum := 0.0
	for _, r := range s.rows {
		sum += 4 * float64(r.Width) / float64(r.Ratio)
	}
	return sum
}

// CacheSizeOf predicts the memory of sequences of a model, without making one.
func CacheSizeOf(cfg *arch.Config, o CacheOptions) (CacheSize, error) {
	m, err := skeleton(cfg)
	if err != nil {
		return CacheSize{}, err
	}
	if o.Context, err = contextOf(cfg, o.Context); err != nil {
		return CacheSize{}, err
	}
	return m.cacheSize(o)
}

func contextOf(cfg *arch.Config, context int) (int, error) {
	if context == 0 {
		return cfg.MaxPositions, nil
	}
	if context < 2 || context > cfg.MaxPositions {
		return 0, fmt.Errorf("deepseek: context is %d tokens, want 2 to the model's %d", context, cfg.MaxPositions)
	}
	return context, nil
}

// cached returns the attention layers that sequences go through.
func (m *Model) cached(predict bool) ([]attends, error) {
	var all []attends
	for i := range m.blocks {
		all = append(all, m.blocks[i].attention)
	}
	if !predict {
		return all, nil
	}
	if len(m.mtp) == 0 {
		return nil, fmt.Errorf("deepseek: the model has no mtp block that could predict")
	}
	return append(all, m.mtp[0].block.attention), nil
}

func (m *Model) cacheSize(o CacheOptions) (CacheSize, error) {
	var s CacheSize
	all, err := m.cached(o.Predict)
	page := 1
	s.lag = 1 + o.Back
	for l, a := range all {
		if l == len(m.blocks) {
			s.ahead = len(s.rows)
		}
		z := a.PastSize(o.reach())
		s.Sequence += 4 * int64(z.Floats)
		s.rows = append(s.rows, z.Grown...)
		for _, r := range z.Grown {
			page = max(page, r.Width*r.Least)
		}
	}
	if o.Predict {
		s.Sequence += 4 * int64((1+o.Back)*m.streams*m.cfg.HiddenSize)
	}
	if !o.Predict {
		s.ahead = len(s.rows)
	}
	s.PageBytes = 4 * int64((page+1023)&^1023)
	return s, err
}

// Cache holds what a model keeps of sequences, so that they can grow a few
// tokens at a time. It uses the model's layers and scratch memory, so nothing
// else may use the model during a call, and weights must not change while there
// are sequences.
type Cache struct {
	m      *Model
	o      CacheOptions
	size   CacheSize
	pool   *attention.Pool
	unused []*Sequence
	count  int // sequences in use
	run    extending
}

// NewCache returns an empty cache.
func (m *Model) NewCache(o CacheOptions) (*Cache, error) {
	var err error
	if o.Context, err = contextOf(m.cfg, o.Context); err != nil {
		return nil, err
	}
	if err := m.checkTables(); err != nil {
		return nil, err
	}
	c := &Cache{m: m, o: o}
	if c.size, err = m.cacheSize(o); err != nil {
		return nil, err
	}
	if o.Back < 0 {
		return nil, fmt.Errorf("deepseek: a cache must go back 0 tokens or more, got %d", o.Back)
	}
	pages := o.Bytes / c.size.PageBytes
	if need := int64(c.size.Pages(o.Context)); pages < need {
		return nil, fmt.Errorf("deepseek: %d bytes of cache are %d pages, one sequence of %d tokens takes %d: at least %d bytes are needed",
			o.Bytes, pages, o.Context, need, need*c.size.PageBytes)
	}
	c.pool = attention.NewPool(int(c.size.PageBytes/4), int(min(pages, 1<<40)))
	return c, nil
}

// Size returns the memory that sequences take.
func (c *Cache) Size() *CacheSize { return &c.size }

// Context returns the most tokens of a sequence.
func (c *Cache) Context() int { return c.o.Context }

// FreePages and Pages return how many pages are unused, and how many there are.
func (c *Cache) FreePages() int { return c.pool.Free() }

// Pages returns how many pages sequences may take together.
func (c *Cache) Pages() int { return c.pool.Pages() }

// Bytes returns what the cache has taken from the heap.
func (c *Cache) Bytes() int64 {
	return c.pool.Bytes() + int64(c.count+len(c.unused))*c.size.Sequence
}

// layers returns how many attention layers sequences go through, the trunk's and
// one MTP block's, and layer returns one of them. A model may make its layers
// anew between passes.
func (c *Cache) layers() int {
	if c.o.Predict {
		return len(c.m.blocks) + 1
	}
	return len(c.m.blocks)
}

func (c *Cache) layer(l int) attends {
	if l < len(c.m.blocks) {
		return c.m.blocks[l].attention
	}
	return c.m.mtp[l-len(c.m.blocks)].block.attention
}

// Sequence is what a cache keeps of one sequence.
type Sequence struct {
	// Routes, if not nil, gets the choices made for tokens that are added.
	Routes *Routes

	c       *Cache
	tokens  []int32
	longest int               // that tokens have been
	taken   int               // pages
	pasts   []*attention.Past // by layer
	pending []float32         // rows of the trunk that the MTP block has not seen
}

// NewSequence returns an empty sequence.
func (c *Cache) NewSequence() *Sequence {
	c.count++
	if n := len(c.unused); n > 0 {
		s := c.unused[n-1]
		c.unused = c.unused[:n-1]
		return s
	}
	s := &Sequence{c: c}
	state := make([]float32, c.size.Sequence/4)
	for l := range c.layers() {
		var p *attention.Past
		p, state = c.layer(l).NewPast(c.pool, c.o.reach(), state)
		s.pasts = append(s.pasts, p)
	}
	if c.o.Predict {
		s.pending = state[:0:len(state)]
	}
	return s
}

// Tokens returns the tokens so far, which the caller must not change.
func (s *Sequence) Tokens() []int32 { return s.tokens }

// PagesTaken returns how many pages the sequence has taken for itself since it began
// or was forked: those that it shared at first are not among them.
func (s *Sequence) PagesTaken() int { return s.taken }

// Fork returns another sequence that equals s so far. The two share memory until
// one of them changes it.
func (s *Sequence) Fork() *Sequence {
	f := s.c.NewSequence()
	f.tokens, f.longest = append(f.tokens[:0], s.tokens...), s.longest
	for i, p := range s.pasts {
		f.pasts[i].CopyFrom(p)
	}
	f.pending = append(f.pending[:0], s.pending...)
	if s.Routes != nil {
		f.Routes = s.Routes.clone()
	}
	return f
}

// Free gives the memory back. The sequence must not be used any more.
func (s *Sequence) Free() {
	for _, p := range s.pasts {
		p.Reset()
	}
	s.tokens, s.longest, s.taken, s.pending, s.Routes = s.tokens[:0], 0, 0, s.pending[:0], nil
	s.c.unused = append(s.c.unused, s)
	s.c.count--
}

// Truncate forgets the tokens from n on: none before the last CacheOptions.Back
// of the longest that the sequence ever was, and none that [Cache.Predict] has
// seen.
func (s *Sequence) Truncate(n int) {
	cut := len(s.tokens) - n
	if cut < 0 || s.longest-n > s.c.o.Back || s.c.o.Predict && cut*s.c.m.rowWidth() > len(s.pending) {
		panic(fmt.Sprintf("deepseek: a sequence of %d tokens, once %d, cannot be cut to %d: the cache goes back %d", len(s.tokens), s.longest, n, s.c.o.Back))
	}
	s.tokens = s.tokens[:n]
	for _, p := range s.pasts[:len(s.c.m.blocks)] {
		p.Truncate(n)
	}
	if s.c.o.Predict {
		s.pending = s.pending[:len(s.pending)-cut*s.c.m.rowWidth()]
	}
	if s.Routes != nil {
		s.Routes.truncate(n)
	}
}

// rowWidth returns the width of what an MTP block reads of the level below.
func (m *Model) rowWidth() int { return m.streams * m.cfg.HiddenSize }
