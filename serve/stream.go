package serve

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// events writes server-sent events. Each write has its time: a client that does
// not read is given up.
type events struct {
	x   *exchange
	w   http.ResponseWriter
	rc  *http.ResponseController
	out []byte
}

func (e *events) write(b []byte) error {
	e.x.deadline(e.w)
	if _, err := e.w.Write(b); err != nil {
		return fmt.Errorf("the client does not read: %w", err)
	}
	if err := e.rc.Flush(); err != nil {
		return fmt.Errorf("the client does not read: %w", err)
	}
	return nil
}

func (e *events) data(b []byte) error {
	e.out = append(append(append(e.out[:0], "data: "...), b...), "\n\n"...)
	return e.write(e.out)
}

// choice writes a part of the stream with one choice.
func (e *events) choice(c any) error {
	r := e.x.head(e.x.object())
	r.Choices = append(r.Choices, c)
	if e.x.ask.usage {
		return e.data(encode(part{reply: r}))
	}
	return e.data(encode(r))
}

// happened writes what an answer has next, or that it ended.
func (e *events) happened(h happening) error {
	if echo := h.c.echoed(); echo != nil {
		if err := e.choice(echo); err != nil {
			return err
		}
	}
	if h.done {
		return e.choice(h.c.end())
	}
	return e.choice(h.c.delta(h.event))
}

func (x *exchange) object() string {
	if x.kind == "text" {
		return "text_completion"
	}
	return "chat.completion.chunk"
}

// stream delivers the answers as they come.
func (x *exchange) stream(ctx context.Context, w http.ResponseWriter, happens <-chan happening) (int, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	e := &events{x: x, w: w, rc: http.NewResponseController(w)}
	w.WriteHeader(http.StatusOK)
	for _, c := range x.choices {
		if first := c.begin(); first != nil {
			if err := e.choice(first); err != nil {
				return statusGone, err
			}
		}
	}
	beat := time.NewTicker(x.s.times.beat)
	defer beat.Stop()
	for left := len(x.choices); left > 0; {
		var err error
		select {
		case h := <-happens:
			x.heard(h)
			if h.err != nil {
				return x.breakOff(ctx, e, h.err)
			}
			if err = e.happened(h); h.done {
				left--
			}
		case <-beat.C:
			err = e.write([]byte(": waiting\n\n"))
		case <-ctx.Done():
			return x.breakOff(ctx, e, ctx.Err())
		}
		if err != nil {
			return statusGone, err
		}
	}
	if x.ask.usage {
		last := part{reply: x.head(x.object()), Usage: x.usage()}
		if err := e.data(encode(last)); err != nil {
			return statusGone, err
		}
	}
	if err := e.data([]byte("[DONE]")); err != nil {
		return statusGone, err
	}
	return http.StatusOK, nil
}

// breakOff ends a stream with an error.
func (x *exchange) breakOff(ctx context.Context, e *events, err error) (int, error) {
	f := x.fails(ctx, err)
	if f.status != statusGone {
		_ = e.data(f.body())
	}
	return f.status, f
}
