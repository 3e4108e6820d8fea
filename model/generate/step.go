package generate

import (
	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/deepseek"
)

// stepping is what a step needs, kept for the next.
type stepping struct {
	to      []deepseek.Extension
	of      []*Stream   // of each extension, or of each row of logits
	logits  []float32   // rows
	rows    [][]float32 // of each stream that draws
	ended   []*Stream
	prompts []*Stream // that have yet to go through the model
	scores  int       // rows of logits that prompts may still want
	drawers []*drawer // by lane
	lanes   int       // that draw at a time
	each    func(e *Engine, d *drawer, i int)
	draw    func(lo, hi int) // drawLanes, bound once
}

// Step runs one pass. It reports whether there was anything to do. An error means
// that the engine is broken; what happens to one request is told by its stream.
func (e *Engine) Step() (busy bool, err error) {
	e.dropCancelled()
	e.admit()
	if len(e.running) == 0 {
		return false, nil
	}
	e.startForked()
	if err := e.draft(); err != nil {
		return true, err
	}
	if err := e.extend(); err != nil {
		return true, err
	}
	e.settle()
	return true, nil
}

// dropCancelled ends running requests that were cancelled.
func (e *Engine) dropCancelled() {
	for _, s := range e.running {
		if s.cancelled.Load() {
			s.end = Cancelled
		}
	}
	e.settle()
}

// startForked draws the first tokens of streams whose prompt is known already.
func (e *Engine) startForked() {
	w := &e.work
	w.of, w.rows = w.of[:0], w.rows[:0]
	for _, s := range e.running {
		if s.first != nil && s.end == Running {
			w.of, w.rows = append(w.of, s), append(w.rows, s.first)
			s.first = nil
		}
	}
	e.eachRow((*Engine).drawNext)
}

// ready tells whether a stream's prompt went through the model and its last token
// did not.
func (s *Stream) ready() bool {
	return s.end == Running && len(s.seq.Tokens()) == len(s.tokens)-1 && s.generated() > 0
}

// draft chooses what ready streams add: their last token and, if the engine
// speculates and there is a place for it, a draft of the next.
func (e *Engine) draft() error {
	w := &e.work
	w.to, w.of, w.rows = w.to[:0], w.of[:0], w.rows[:0]
	for _, s := range e.running {
		s.chunk, s.drafted = s.chunk[:0], false
		if !s.ready() {
			continue
		}
		s.chunk = append(s.chunk, s.tokens[len(s.tokens)-1])
		if e.o.Speculate && len(s.tokens)+1 < s.limit {
			w.to = append(w.to, deepseek.Extension{Sequence: s.seq, Tokens: s.chunk})
			w.of = append(w.of, s)
		}
	}
	if len(w.to) == 0 {
		return nil
	}
	if err := e.cache.Predict(w.to, w.logits); err != nil {
		return err
	}
	v := e.m.Config().VocabSize
	for i := range w.of {
		w.rows = append(w.rows, w.logits[i*v:(i+1)*v])
	}
	e.eachRow((*Engine).drawDraft)
	return nil
}

// drawDraft draws the draft of the i-th stream of the work.
func (e *Engine) drawDraft(d *drawer, i int) {
	w, s := &e.work, e.work.of[i]
	if w.to[i].Err != nil {
		return // the trunk may be well all the same
	}
	t := d.draw(&s.req.Sampling, s.numbers.Float64At(uint64(len(s.tokens))), w.rows[i])
	s.chunk, s.drafted = append(s.chunk, t.id), true
}

// extend runs the pass, takes snapshots and draws tokens.
func (e *Engine) extend() error {
	w, v := &e.work, e.m.Config().VocabSize
	w.to, w.of, w.rows = w.to[:0], w.of[:0], w.rows[:0]
	left := e.o.StepTokens
	for _, s := range e.running {
		if len(s.chunk) > 0 {
			e.put(s, len(s.chunk))
			left -= len(s.chunk)
		}
	}
	e.prompts(left)
	if len(w.to) == 0 {
		return nil
	}
	if need := (e.o.Sequences*e.o.width() + e.scores) * v; w.scores < e.scores && len(w.logits) < need {
		w.logits = make([]float32, need)
	}
	if err := e.cache.Extend(w.to, w.logits); err != nil {
		return err
	}
	e.count()
	at, n := 0, 0
	for i := range w.to {
		x, s := &w.to[i], w.of[i]
		rows := w.logits[at : at+x.Logits*v]
		at += len(rows)
		if x.Err != nil {
			s.end, s.failure = Failed, x.Err
			continue
		}
		if s.generated() == 0 {
			e.keepPrompt(s, rows)
			rows = e.score(s, rows)
		}
		if len(rows) > 0 && len(s.seq.Tokens()) >= len(s.req.Prompt) {
			w.of[n], w.rows = s, append(w.rows, rows)
			n++
		}
	}
	w.of = w.of[:n]
	e.eachRow((*Engine).drawNext)
	return nil
}

// prompts makes chunks of prompts part of the pass, as many tokens as are left, in
// order. While others wait for their turn, the first takes half of them, so that a
// long prompt does not hold up short ones, nor they it.
func (e *Engine) prompts(left int) {
	w := &e.work
	w.prompts = w.prompts[:0]
	for _, s := range e.running {
		if s.end == Running && len(s.seq.Tokens()) < s.req.through() {
			w.prompts = append(w.prompts, s)
		}
	}
	kept := 0
	w.scores = e.scores
	for i, s := range w.prompts {
		most := left
		if i == 0 && len(w.prompts) > 1 {
			most = (left + 1) / 2
			kept = most
		}
		left -= e.addPrompt(s, most)
	}
	if kept > 0 && left > 0 { // the others needed less
		e.addPrompt(w.prompts[0], left)
	}
	for _, s := range w.prompts {
		if len(s.chunk) > 0 {
			e.put(s, e.logitsOf(s))
		}
	}
}

// addPrompt adds tokens of a prompt to its chunk, at most so many and not beyond the
// next place where a snapshot is wanted or scores begin, and returns how many.
func (e *Engine) addPrompt(s *Stream, most int) int {
	from := len(s.seq.Tokens())
	at := from + len(s.chunk)
	to := s.req.through()
	switch {
	case from < s.node.depth:
		to = s.stop(from, e.o.Share, e.o.Keep).depth
	case s.req.Score > 0:
		most = min(most, e.work.scores)
		e.work.scores -= min(most, to-at)
	}
	to = min(at+most, to)
	s.chunk = append(s.chunk, s.req.Prompt[at:to]...)
	return to - at
}

// logitsOf returns after how many tokens of its chunk a prompt needs logits: of all
// that are scored, else after the last if a token or a snapshot needs them.
func (e *Engine) logitsOf(s *Stream) int {
	from := len(s.seq.Tokens())
	at := from + len(s.chunk)
	if s.req.Score > 0 && from >= s.node.depth {
		return len(s.chunk)
	}
	if n := s.stop(at-1, e.o.Share, e.o.Keep); n.depth == at && (n == s.node && s.req.Score == 0 || n.ends > 0) {
		return 1
	}
	return 0
}

// score takes log-probabilities of a prompt's tokens from rows of logits, and returns
// the row after the prompt, if there is one.
func (e *Engine) score(s *Stream, rows []float32) []float32 {
	v, at := e.m.Config().VocabSize, len(s.seq.Tokens())
	if s.req.Score == 0 || at <= s.node.depth {
		if at < len(s.req.Prompt) {
			return nil
		}
		return rows
	}
	n := len(rows) / v
	labels := s.req.Prompt[at-n+1 : min(at+1, len(s.req.Prompt))]
	k := len(labels)
	from := len(s.scored)
	s.scored = append(s.scored, make([]float32, k)...)
	kernel.CrossEntropyForward(s.scored[from:], make([]float32, k), rows[:k*v], labels, k, v)
	if s.req.MaxTokens == 0 && at == s.req.through() {
		s.end = Length
	}
	return rows[k*v:]
}

// put makes the stream's chunk part of the pass.
func (e *Engine) put(s *Stream, logits int) {
	e.work.to = append(e.work.to, deepseek.Extension{Sequence: s.seq, Tokens: s.chunk, Logits: logits})
	e.work.of = append(e.work.of, s)
}

// drawNext draws for the i-th stream of the work from its first row and, if that
// is the draft, from the second.
func (e *Engine) drawNext(d *drawer, i int) {
	s, rows, v := e.work.of[i], e.work.rows[i], e.m.Config().VocabSize
	t := d.token(s, rows[:v])
	s.add(t, e.eos)
	if !s.drafted {
		return
	}
	if s.end == Running && s.chunk[1] == t.ID {
		s.add(d.token(s, rows[v:]), e.eos)
		s.accepted = true
		return
	}
	s.seq.Truncate(len(s.seq.Tokens()) - 1)
}

// eachRow calls f for the rows of the work, on several threads at a time.
func (e *Engine) eachRow(f func(e *Engine, d *drawer, i int)) {
	w, n := &e.work, len(e.work.rows)
	lanes := min(n, kernel.Threads())
	if lanes == 0 {
		return
	}
	for len(w.drawers) < lanes {
		w.drawers = append(w.drawers, &drawer{})
	}
	if w.draw == nil {
		w.draw = e.drawLanes
	}
	w.each, w.lanes = f, lanes
	kernel.Parallel(lanes, 1, w.draw)
}

// drawLanes draws for the rows of lanes [lo, hi): lane i has every lanes-th row
// from i on.
func (e *Engine) drawLanes(lo, hi int) {
	w := &e.work
	for lane := lo; lane < hi; lane++ {
		for i := lane; i < len(w.rows); i += w.lanes {
			w.each(e, w.drawers[lane], i)
		}
	}
}

// count adds the pass to the counters.
func (e *Engine) count() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Steps++
	for i, x := range e.work.to {
		if s := e.work.of[i]; s.generated() == 0 {
			e.stats.PromptTokens += int64(len(x.Tokens))
		} else if s.drafted {
			e.stats.Drafted++
		}
	}
}

// settle publishes what the step made, and frees what has ended.
func (e *Engine) settle() {
	kept, ended := e.running[:0], e.work.ended[:0]
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.running {
		e.stats.Generated += int64(len(s.fresh))
		if s.accepted {
			e.stats.Accepted++
			s.accepted = false
		}
		if len(s.fresh) > 0 || s.end != Running {
			s.publish(s.failure)
			s.fresh = s.fresh[:0]
		}
		if s.end == Running {
			kept = append(kept, s)
			continue
		}
		e.stats.Finished++
		ended = append(ended, s)
	}
	clear(e.running[len(kept):])
	e.running = kept
	for _, s := range ended {
		e.retire(s)
	}
	clear(ended)
	e.work.ended = ended
	e.tell()
}
