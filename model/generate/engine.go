package generate

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/temper-ml/temper/model/deepseek"
)

// Engine continues sequences with one model. Requests join and leave between
// passes; each pass takes the running answers one token further, or two, and
// gives what is left of its tokens to prompts, in the order of submission. Submit,
// Stats and the methods of streams may be called by any goroutine; Step, Run and
// Serve by one at a time. Nothing else may use the model during a step, and its
// weights must not change while requests run.
type Engine struct {
	m     *deepseek.Model
	o     Options
	cache *deepseek.Cache
	bytes int64   // scratch of a pass
	eos   []int32 // tokens that end sequences

	mu        sync.Mutex // guards waiting, counters and what Submit reads
	waiting   []*Stream
	submitted int64
	stats     Stats
	woken     chan struct{}

	// The rest belongs to Step.
	running []*Stream
	trees   [3]prefixes // by kind of request
	kept    []*node     // that have snapshots
	uses    int64       // of snapshots
	evicted int64
	scores  int // most rows of logits of a pass for tokens of prompts
	fixed   int // pages that a snapshot counts for besides its own
	work    stepping
}

// Stats tell what an engine does and has done.
type Stats struct {
	Waiting, Running  int
	FreePages, Pages  int   // of the cache
	CacheBytes        int64 // taken from the heap
	Steps             int64
	PromptTokens      int64 // that went through the model
	SharedTokens      int64 // of prompts that were taken over from other sequences
	Snapshots         int   // that are kept
	Evicted           int64 // snapshots that were given up for room
	Generated         int64
	Drafted, Accepted int64
	Finished          int64
}

// New returns an engine. It takes the scratch memory of its passes now.
func New(m *deepseek.Model, o Options) (*Engine, error) {
	if err := o.fill(m); err != nil {
		return nil, err
	}
	c, err := m.NewCache(o.cache())
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	e := &Engine{m: m, o: o, cache: c, woken: make(chan struct{}, 1)}
	for _, id := range append([]int{m.Config().EOS}, m.Config().MoreEOS...) {
		e.eos = append(e.eos, int32(id))
	}
	e.fixed = snapshotPages(m.Config(), c.Size())
	rows := o.Sequences * o.width()
	e.scores = min(max(1, scoredLogits/m.Config().VocabSize), o.StepTokens)
	if e.bytes, err = c.Reserve(o.StepTokens, o.Sequences, rows+e.scores); err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	e.work.logits = make([]float32, rows*m.Config().VocabSize)
	e.stats.FreePages, e.stats.Pages = c.FreePages(), c.Pages()
	return e, nil
}

// scoredLogits bounds the logits of a pass for tokens of prompts: 16 MiB, unless those
// of one token are more.
const scoredLogits = 1 << 22

// Options returns the options, completed.
func (e *Engine) Options() Options { return e.o }

// Submit adds a request to those that wait. It refuses with a [FullError] when too
// many do.
func (e *Engine) Submit(r Request) (*Stream, error) {
	if err := r.check(e.m.Config().VocabSize, e.o.Context); err != nil {
		return nil, err
	}
	s := &Stream{req: r, numbers: r.numbers(), limit: min(e.o.Context, len(r.Prompt)+min(r.MaxTokens, e.o.Context))}
	s.req.Prompt = slices.Clone(r.Prompt)
	s.tokens = s.req.Prompt[:len(r.Prompt):len(r.Prompt)]
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting) >= e.o.Queue {
		return nil, &FullError{
			Waiting: len(e.waiting), Queue: e.o.Queue, Running: e.stats.Running,
			FreePages: e.stats.FreePages, Pages: e.stats.Pages,
		}
	}
	s.number = e.submitted
	e.submitted++
	e.waiting = append(e.waiting, s)
	e.stats.Waiting = len(e.waiting)
	select {
	case e.woken <- struct{}{}:
	default:
	}
	return s, nil
}

// Stats returns the counters after the last step.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// ScratchBytes returns the memory of a pass besides the cache, taken at the start.
func (e *Engine) ScratchBytes() int64 { return e.bytes + 4*int64(len(e.work.logits)) }

// Serve steps until the context ends, and rests while there is nothing to do. What
// runs or waits then stays as it is; see [Engine.Close].
func (e *Engine) Serve(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		busy, err := e.Step()
		if err != nil {
			return err
		}
		if busy {
			continue
		}
		select {
		case <-ctx.Done():
		case <-e.woken:
		}
	}
}

// Run generates for all requests and returns their results, in order. It keeps
// as many submitted as may wait. each, unless nil, is called with each token of
// request i, after the step that made it. A request that fails is told by its
// result; Run fails as a whole if a request is refused or the context ends, and
// cancels the others then.
func (e *Engine) Run(ctx context.Context, requests []Request, each func(i int, t Token)) ([]Result, error) {
	streams := make([]*Stream, 0, len(requests))
	told := make([]int, len(requests))
	stop := func(err error) ([]Result, error) {
		for _, s := range streams {
			s.Cancel()
		}
		_, _ = e.Step() // frees what they hold
		return nil, err
	}
	for done := 0; done < len(requests); {
		if err := ctx.Err(); err != nil {
			return stop(err)
		}
		for len(streams) < len(requests) && e.Stats().Waiting < e.o.Queue {
			s, err := e.Submit(requests[len(streams)])
			if err != nil {
				return stop(fmt.Errorf("request %d of %d: %w", len(streams), len(requests), err))
			}
			streams = append(streams, s)
		}
		if _, err := e.Step(); err != nil {
			return stop(err)
		}
		for i := done; i < len(streams); i++ {
			r := streams[i].Result()
			for ; each != nil && told[i] < len(r.Tokens); told[i]++ {
				each(i, r.Tokens[told[i]])
			}
			if i == done && r.Reason != Running {
				done++
			}
		}
	}
	results := make([]Result, len(streams))
	for i, s := range streams {
		results[i] = s.Result()
	}
	return results, nil
}

// Close cancels everything and frees what it held. It must not be called during a
// step.
func (e *Engine) Close() error {
	e.mu.Lock()
	for _, s := range e.waiting {
		s.Cancel()
	}
	e.mu.Unlock()
	for _, s := range e.running {
		s.Cancel()
	}
	_, err := e.Step()
	for len(e.kept) > 0 {
		e.drop(e.kept[0])
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tell()
	return err
}
