package kernel

import (
	"sync"
	"sync/atomic"

	"github.com/temper-ml/temper/compute/internal/asm"
)

// Kind says which part of the package a [Work] was done in.
type Kind int

// The kinds. Work of the first four was executed; Wanted repeats the part of it
// that definitions ask for, without what dense blocks compute and mask away.
const (
	InRun       Kind = iota // a product of Run and its kin
	InAttention             // a product within Attention
	InIndexer               // a product within Indexer
	InRow                   // a loop over a row: norms, exponentials, mixing, updates
	Wanted                  // see Work.Name and Work.Pass
)

// Pass says what Wanted work is for.
type Pass int

// The passes. Again is what the backward pass computes a second time.
const (
	Forward Pass = iota
	Backward
	Again
)

// Work is a piece of arithmetic that kernels execute, told by its dimensions. A
// fused multiply-add is one multiplication; divisions and roots are not counted.
type Work struct {
	Kind            Kind
	Product                // the matrices, unless the kind is InRow or Wanted
	Name            string // of the loop, or of what is wanted: "attn.window", "attn.full", "attn.compressed", "indexer", "pooling"
	Pass            Pass
	Multiplications int64
}

// watch is who watches, and the loops that tell about themselves.
type watch struct {
	mu   sync.Mutex
	f    func(Work)
	ops  [4]*rowOps
	once [4]sync.Once
}

// watching is nil unless somebody watches: the only cost of Watch to others is to
// load it once a call.
var watching atomic.Pointer[watch]

// Watch calls f for every piece of arithmetic that any goroutine executes here,
// one at a time and in no particular order, until stop is called. It is how the
// operations that a training step is said to need are held against those it
// executes. Watch panics if somebody watches already.
func Watch(f func(Work)) (stop func()) {
	w := &watch{f: f}
	if !watching.CompareAndSwap(nil, w) {
		panicf("kernel: Watch: somebody watches already")
	}
	return func() { watching.CompareAndSwap(w, nil) }
}

func (w *watch) tell(k Work) {
	if k.Multiplications == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f(k)
}

// products tells of a group of products.
func (w *watch) products(kind Kind, ps []Product) {
	for i := range ps {
		p := ps[i]
		k := p.A.Cols
		if p.Form == TN {
			k = p.A.Rows
		}
		w.tell(Work{Kind: kind, Product: p, Multiplications: int64(p.Out.Rows) * int64(p.Out.Cols) * int64(k)})
	}
}

func (w *watch) want(name string, pass Pass, n int64) {
	w.tell(Work{Kind: Wanted, Name: name, Pass: pass, Multiplications: n})
}

// rows returns the loops of a level, each of which tells what it does.
func (w *watch) rows(level asm.Level) *rowOps {
	w.once[level].Do(func() {
		w.ops[level] = opsOf[level].telling(func(name string, n int) {
			w.tell(Work{Kind: InRow, Name: name, Multiplications: int64(n)})
		})
	})
	return w.ops[level]
}

// attention tells which keys the queries of a block look at. Each costs a product
// of the key's width and one of the value's; their gradients cost two of each, and
// the score is computed again.
func (w *watch) attention(a *Attention, b *attentionBlock, pass Pass) {
	var window, compressed int64
	for t := b.t0; t < b.t1; t++ {
		k := a.keys(b, t)
		window += int64(k.hi - k.lo)
		compressed += int64(k.n)
	}
	name := "attn.full"
	if a.Window > 0 {
		name = "attn.window"
	}
	key, value := int64(a.Heads*b.heads.K.Cols), int64(a.Heads*b.heads.V.Cols)
	if pass == Forward {
		w.want(name, Forward, window*(key+value))
		w.want("attn.compressed", Forward, compressed*(key+value))
		return
	}
	for name, pairs := range map[string]int64{name: window, "attn.compressed": compressed} {
		w.want(name, Backward, 2*pairs*(key+value))
		w.want(name, Again, pairs*key)
	}
}

// scored tells of the scores that a run of queries needs to choose its entries.
func (w *watch) scored(x *Indexer, r indexerRun, width int) {
	var pairs int64
	for t := r.t0; t < r.t1; t++ {
		pairs += int64(x.visible(r, t))
	}
	w.want("indexer", Forward, pairs*int64(x.Heads*(width+1)))
}

// learnt tells of the gradients of the scores of chosen entries, and of the scores
// themselves: again for queries that were scored to choose, for the first time for
// others.
func (w *watch) learnt(x *Indexer, g *IndexerGradient, r indexerRun) {
	for t := r.t0; t < r.t1; t++ {
		n := int64(g.Chosen.Count[t-x.Past]) * int64(x.Heads*(g.K.Cols+1))
		pass := Forward
		if x.visible(r, t) > x.K && t >= r.free {
			pass = Again
		}
		w.want("indexer", pass, n)
		w.want("indexer", Backward, 2*n)
	}
}

// pooled tells of the weighted sums of an entry's members.
func (w *watch) pooled(p *Pooling, pass Pass, times int64) {
	var n int64
	for i := range p.Entries() {
		n += int64((p.members() - p.entry(i).from) * p.Dim)
	}
	w.want("pooling", pass, n*times)
}
