package serve

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
)

// exchange is one request and its answers.
type exchange struct {
	s       *Server
	r       *http.Request
	kind    string // chat or text
	id      string
	began   time.Time
	ask     *ask
	choices []*choice
	first   time.Time // when the first text came
	wait    sync.WaitGroup
}

// happening is what an answer has next, or how it ended.
type happening struct {
	c     *choice
	event answer.Event
	done  bool
	err   error
}

// endpoint answers requests that decode reads.
func (s *Server) endpoint(kind string, decode func(*fields) (*ask, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		x := &exchange{s: s, r: r, kind: kind, began: s.o.Now(), id: hex.EncodeToString(randomBytes(12))}
		w.Header().Set("X-Request-Id", x.id)
		if !s.enter() {
			x.refused(w, &failure{status: http.StatusServiceUnavailable, message: errStopping.message, code: errStopping.code, retry: 5 * time.Second}, true)
			return
		}
		defer s.leave()
		if f := s.admit(r); f != nil {
			x.refused(w, f, true)
			return
		}
		body, release, f := s.read(w, r)
		if f != nil {
			x.refused(w, f, true)
			return
		}
		f = x.prepare(body, decode)
		release()
		if f != nil {
			x.refused(w, f, false)
			return
		}
		x.carry(w)
	}
}

// refused answers that there will be no answer.
func (x *exchange) refused(w http.ResponseWriter, f *failure, unread bool) {
	if unread {
		x.s.refuse(w, x.r, f)
	} else {
		x.deadline(w)
		f.send(w)
	}
	x.done(f.status, f)
}

// prepare reads the request and submits what it asks for, all of it or nothing.
func (x *exchange) prepare(body []byte, decode func(*fields) (*ask, error)) *failure {
	s := x.s
	select { // it is work, so not for all at a time
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-x.r.Context().Done():
		return &failure{status: 499, message: "the client went away"}
	case <-s.life.Done():
		return failureOf(context.Cause(s.life))
	}
	f, err := s.parse(body)
	if err == nil {
		x.ask, err = decode(f)
	}
	if err != nil {
		return failureOf(err)
	}
	for p := range x.ask.prompts {
		for k := range x.ask.n {
			one := x.ask.one
			one.Prompt = x.ask.prompts[p]
			one.Score = x.ask.scored && len(one.Tokens) > 1
			one.Sampling.Prompt, one.Sampling.Sample = uint64(p), uint64(k)
			a, err := s.m.Submit(one)
			if err != nil {
				x.cancelAll()
				return s.notSubmitted(err)
			}
			x.choices = append(x.choices, newChoice(x, len(x.choices), p, a))
		}
	}
	return nil
}

// notSubmitted is what a client is told that the engine refused.
func (s *Server) notSubmitted(err error) *failure {
	var full *generate.FullError
	if errors.As(err, &full) {
		return s.full(full.Error())
	}
	return failureOf(err)
}

func (x *exchange) cancelAll() {
	for _, c := range x.choices {
		c.a.Cancel()
	}
}

// carry lets the answers come and delivers them.
func (x *exchange) carry(w http.ResponseWriter) {
	ctx, cancel := context.WithCancelCause(x.r.Context())
	stop := context.AfterFunc(x.s.life, func() { cancel(context.Cause(x.s.life)) })
	defer stop()
	happens := make(chan happening)
	for _, c := range x.choices {
		x.wait.Go(func() { c.listen(ctx, happens) })
	}
	var status int
	var err error
	if x.ask.stream {
		status, err = x.stream(ctx, w, happens)
	} else {
		status, err = x.whole(ctx, w, happens)
	}
	cancel(nil)
	x.cancelAll()
	x.wait.Wait()
	x.done(status, err)
}

// listen tells of an answer until it ends or nobody wants to hear of it.
func (c *choice) listen(ctx context.Context, happens chan<- happening) {
	for {
		h := happening{c: c}
		var err error
		if h.event, err = c.a.Next(ctx); errors.Is(err, io.EOF) {
			h.done = true
		} else {
			h.err = err
		}
		select {
		case happens <- h:
		case <-ctx.Done():
			c.a.Cancel()
			return
		}
		if h.done || h.err != nil {
			return
		}
	}
}

// statusGone is what the log has for clients that went away.
const statusGone = 499

// fails turns what ended an answer early into what the client is told.
func (x *exchange) fails(ctx context.Context, err error) *failure {
	var f *failure
	if cause := context.Cause(ctx); cause != nil && errors.As(cause, &f) {
		return f
	}
	if ctx.Err() != nil || x.r.Context().Err() != nil {
		return &failure{status: statusGone, message: "the client went away"}
	}
	x.s.o.Log.Error("an answer failed", "id", x.id, "error", err)
	return &failure{status: http.StatusInternalServerError, code: "generation_failed", message: err.Error()}
}

// whole delivers all answers at their end.
func (x *exchange) whole(ctx context.Context, w http.ResponseWriter, happens <-chan happening) (int, error) {
	for left := len(x.choices); left > 0; {
		select {
		case h := <-happens:
			x.heard(h)
			switch {
			case h.err != nil:
				f := x.fails(ctx, h.err)
				if f.status != statusGone {
					x.deadline(w)
					f.send(w)
				}
				return f.status, f
			case h.done:
				left--
			default:
				h.c.add(h.event)
			}
		case <-ctx.Done():
			f := x.fails(ctx, ctx.Err())
			if f.status != statusGone {
				x.deadline(w)
				f.send(w)
			}
			return f.status, f
		}
	}
	x.deadline(w)
	sendJSON(w, http.StatusOK, encode(x.reply()))
	return http.StatusOK, nil
}

// deadline gives the client its time to take what is written next.
func (x *exchange) deadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(x.s.times.write))
}

// heard notes when the first text came.
func (x *exchange) heard(h happening) {
	if h.err == nil && x.first.IsZero() {
		x.first = x.s.o.Now()
		x.s.metrics.firstText(x.first.Sub(x.began))
	}
}

// done counts the request and logs it: never what was asked or answered, which
// errors may repeat.
func (x *exchange) done(status int, err error) {
	now := x.s.o.Now()
	prompt, written, reasoning := x.tokens()
	var writing time.Duration
	if !x.first.IsZero() {
		writing = now.Sub(x.first)
	}
	x.s.metrics.finished(x.kind, status, now.Sub(x.began), writing, written, len(x.choices))
	if !x.s.o.Access {
		return
	}
	attrs := []any{
		slog.String("id", x.id), slog.String("kind", x.kind), slog.Int("status", status), slog.String("remote", x.r.RemoteAddr),
		slog.Float64("seconds", now.Sub(x.began).Seconds()),
	}
	if x.ask != nil {
		finish := make([]string, len(x.choices))
		for i, c := range x.choices {
			finish[i] = string(c.a.Finish())
		}
		attrs = append(attrs, slog.Bool("stream", x.ask.stream), slog.Int("prompt_tokens", prompt), slog.Int("tokens", written),
			slog.Int("reasoning_tokens", reasoning), slog.Any("finish", finish), slog.Int64("seed", x.ask.seed))
		if !x.first.IsZero() {
			attrs = append(attrs, slog.Float64("first_seconds", x.first.Sub(x.began).Seconds()))
		}
	}
	var f *failure
	switch {
	case errors.As(err, &f):
		attrs = append(attrs, slog.String("code", f.code), slog.String("param", f.param))
	case err != nil:
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	x.s.o.Log.Info("request", attrs...)
}

// tokens adds up those of the prompts, each once, and of the answers.
func (x *exchange) tokens() (prompt, written, reasoning int) {
	for i, c := range x.choices {
		p, w, r := c.a.Tokens()
		written, reasoning = written+w, reasoning+r
		if i%x.ask.n == 0 {
			prompt += p
		}
	}
	return prompt, written, reasoning
}
