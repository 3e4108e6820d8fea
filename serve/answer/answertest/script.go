package answertest

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/data/tokenizer"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
)

// Script is an engine that writes given texts.
type Script struct {
	// Write returns what answers a request, special tokens spelled out.
	Write func(r generate.Request) string
	// Hold, unless nil, is received from before each token.
	Hold chan struct{}
	// Refuse, unless nil, answers Submit; Fail ends a stream after its text.
	Refuse, Fail error

	mu        sync.Mutex
	requests  []generate.Request
	cancelled int
	running   int
}

// Says returns a script that always writes a text.
func Says(text string) *Script {
	return &Script{Write: func(generate.Request) string { return text }}
}

// Encode returns the tokens of a text, in which special tokens are spelled out.
func Encode(text string) []int32 {
	var ids []int32
	for _, p := range chat.Split(text, chat.V4{}.Specials()) {
		if id, ok := Tokenizer().Special(p.Text); ok && p.Special {
			ids = append(ids, id)
			continue
		}
		ids = Tokenizer().AppendEncode(ids, p.Text, false)
	}
	return ids
}

// Submit implements [answer.Engine].
func (s *Script) Submit(r generate.Request) (answer.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Refuse != nil {
		return nil, s.Refuse
	}
	s.requests = append(s.requests, r)
	s.running++
	return &stream{s: s, r: r, ids: Encode(s.Write(r)), done: make(chan struct{})}, nil
}

// Requests returns what was submitted.
func (s *Script) Requests() []generate.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Cancelled returns how many streams were cancelled before their end.
func (s *Script) Cancelled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cancelled
}

// Stats implements [answer.Engine].
func (s *Script) Stats() generate.Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return generate.Stats{Running: s.running, FreePages: 7, Pages: 9}
}

// Options implements [answer.Engine].
func (s *Script) Options() generate.Options {
	return generate.Options{Context: Context, Sequences: 16, Queue: 32}
}

// stream is one answer of a script.
type stream struct {
	s      *Script
	r      generate.Request
	ids    []int32
	out    []generate.Token
	once   sync.Once
	done   chan struct{} // closed when it is cancelled
	reason atomic.Int64  // a generate.Reason
}

// Next implements [answer.Stream].
func (s *stream) Next(ctx context.Context) (generate.Token, error) {
	if generate.Reason(s.reason.Load()) != generate.Running {
		return generate.Token{}, io.EOF
	}
	if len(s.out) == len(s.ids) && s.s.Fail != nil {
		s.end(generate.Failed)
		return generate.Token{}, s.s.Fail
	}
	if s.s.Hold != nil {
		select {
		case <-s.s.Hold:
		case <-ctx.Done():
			return generate.Token{}, ctx.Err()
		case <-s.done:
			return generate.Token{}, io.EOF
		}
	}
	n := len(s.out)
	if n == len(s.ids) || n == s.r.MaxTokens {
		s.end(generate.Length)
		return generate.Token{}, io.EOF
	}
	t := generate.Token{ID: s.ids[n], Position: len(s.r.Prompt) + n, LogProb: -float32(n) / 8}
	for i := range s.r.TopLogProbs {
		t.Top = append(t.Top, generate.Candidate{ID: (t.ID + int32(i)) % int32(Tokenizer().VocabSize()), LogProb: t.LogProb - float32(i)})
	}
	s.out = append(s.out, t)
	if eos, _ := Tokenizer().Special(tokenizer.V4EOS); t.ID == eos {
		s.end(generate.EOS)
	}
	return t, nil
}

func (s *stream) end(r generate.Reason) {
	s.once.Do(func() {
		s.reason.Store(int64(r))
		s.s.mu.Lock()
		defer s.s.mu.Unlock()
		s.s.running--
	})
}

// Result implements [answer.Stream].
func (s *stream) Result() generate.Result {
	return generate.Result{Tokens: s.out, Reason: generate.Reason(s.reason.Load())}
}

// Cancel implements [answer.Stream].
func (s *stream) Cancel() {
	s.once.Do(func() {
		s.reason.Store(int64(generate.Cancelled))
		s.s.mu.Lock()
		defer s.s.mu.Unlock()
		s.s.running--
		s.s.cancelled++
		close(s.done)
	})
}
