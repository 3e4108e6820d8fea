package generate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek"
)

// Stream is a request that was submitted. Its methods may be called by any
// goroutine.
type Stream struct {
	req       Request
	number    int64 // of the request, from 0
	limit     int   // most tokens of the sequence
	numbers   detrand.Stream
	cancelled atomic.Bool

	// The rest of these belongs to the engine's step.
	seq      *deepseek.Sequence
	node     *node     // of the prompt
	first    []float32 // logits after the prompt, if it came from a snapshot whole
	tokens   []int32   // prompt and answer
	drafted  bool      // the last of chunk is a draft
	chunk    []int32   // what the present pass adds
	pages    int       // that it may take in all
	fresh    []Token   // of the present step
	end      Reason
	failure  error
	accepted bool // the draft
	scored   []float32

	mu     sync.Mutex
	out    []Token
	read   int // tokens that Next returned
	reason Reason
	scores []float32
	err    error
	routes *deepseek.Routes
	wait   chan struct{} // closed when something changes; nil if nobody waits
}

// Result is what became of a request.
type Result struct {
	Tokens []Token
	Reason Reason
	// Scored are the log-probabilities of the prompt's tokens from Request.Score on,
	// as far as it has gone through the model: the trainer's bits, as [Token.LogProb].
	Scored []float32
	// Err says why the reason is Failed.
	Err error
	// Routes are the choices made for all tokens but the last, prompt included, if
	// the request asked for them and the sequence ended; of a cancelled one, for those
	// that went through the model.
	Routes *deepseek.Routes
}

// Result returns what there is so far; the caller must not change the tokens.
func (s *Stream) Result() Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Result{Tokens: s.out[:len(s.out):len(s.out)], Reason: s.reason, Scored: s.scores, Err: s.err, Routes: s.routes}
}

// Next returns the next token as soon as there is one. At the end it returns
// io.EOF, or the error that ended the sequence.
func (s *Stream) Next(ctx context.Context) (Token, error) {
	for {
		t, wait, err := s.poll()
		if wait == nil {
			return t, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	}
}

func (s *Stream) poll() (t Token, wait chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.read < len(s.out):
		s.read++
		return s.out[s.read-1], nil, nil
	case s.reason == Running:
		if s.wait == nil {
			s.wait = make(chan struct{})
		}
		return t, s.wait, nil
	case s.err != nil:
		return t, nil, s.err
	}
	return t, nil, io.EOF
}

// Cancel ends the request: at once if it waits, before the next step if it runs.
func (s *Stream) Cancel() { s.cancelled.Store(true) }

// publish makes the tokens of a step, and an end, visible.
func (s *Stream) publish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, s.fresh...)
	s.reason = s.end
	if err != nil {
		s.err = fmt.Errorf("generate: request %d: %w", s.number, err)
	}
	s.scores = s.scored[:len(s.scored):len(s.scored)] // all of them, once there is a token
	if s.end != Running && s.seq != nil && s.end != Failed {
		s.routes = s.seq.Routes
	}
	if s.wait != nil && (len(s.fresh) > 0 || s.end != Running) {
		close(s.wait)
		s.wait = nil
	}
}

// generated returns how many tokens of the answer there are.
func (s *Stream) generated() int { return len(s.tokens) - len(s.req.Prompt) }

// add takes a drawn token into the answer and decides whether that ends it.
func (s *Stream) add(t Token, eos []int32) {
	s.tokens = append(s.tokens, t.ID)
	s.fresh = append(s.fresh, t)
	switch n := s.generated(); {
	case !s.req.IgnoreEOS && slices.Contains(eos, t.ID):
		s.end = EOS
	case s.req.ends(s.tokens, n):
		s.end = Stopped
	case n == s.req.MaxTokens:
		s.end = Length
	case len(s.tokens) == s.limit:
		s.end = Context
	}
}
