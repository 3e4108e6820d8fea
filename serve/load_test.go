package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer/answertest"
)

// mixed is request i of a mix: chats and texts, streamed and whole, of many kinds.
func mixed(i int) (path, body string) {
	at := uint64(0)
	roll := func(n int) int { at++; return int(detrand.Key(uint64(i), "mix").Uint64nAt(at, uint64(n))) }
	more := fmt.Sprintf(`"seed":%d,"temperature":%v,"max_tokens":%d`, roll(3), []any{0, 0.7, 1}[roll(3)], 1+roll(12))
	if roll(3) == 0 {
		more += `,"top_p":0.9,"top_k":20`
	}
	if roll(3) == 0 {
		more += `,"stop":["e","th"]`
	}
	if roll(4) == 0 {
		more += fmt.Sprintf(`,"n":%d`, 1+roll(3))
	}
	if roll(3) == 0 {
		return "/v1/completions", fmt.Sprintf(`{"prompt":%q,%s,"logprobs":%d}`, []string{"the", "a", "42 is", ""}[roll(4)], more, roll(3))
	}
	if roll(2) == 0 {
		more += `,"logprobs":true,"top_logprobs":2`
	}
	if roll(3) == 0 {
		more += `,"thinking":true`
	}
	return "/v1/chat/completions", fmt.Sprintf(`{"messages":[{"role":"user","content":%q}],%s}`, []string{"hi", "the weather", "é?", "42"}[roll(4)], more)
}

// core is what of an answer a seed decides.
func core(t testing.TB, o object) string {
	for _, c := range o["choices"].([]any) {
		if m, ok := c.(object)["message"].(object); ok {
			delete(m, "refusal")
			if m["content"] == nil {
				m["content"] = ""
			}
		}
	}
	b, err := json.Marshal(object{"choices": o["choices"], "usage": o["usage"], "seed": o["seed"]})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Answers are a function of model, seed and request: one at a time on an engine
// that takes one sequence, or a thousand at once among requests that are broken
// off, with drafts, small passes and a small cache.
func TestSameSeedSameBitsAtAnyLoad(t *testing.T) {
	kinds, times := 40, 25
	if testing.Short() {
		kinds, times = 20, 5
	}
	alone, _ := random(t, Options{}, generate.Options{Sequences: 1, Context: 256})
	want := make([]string, kinds)
	for i := range want {
		path, body := mixed(i)
		want[i] = core(t, alone.ask(path, body))
	}
	busy, e := random(t, Options{}, generate.Options{Sequences: 7, Context: 256, StepTokens: 40, Speculate: true, Queue: 5000, Keep: true, Share: 2})
	var all sync.WaitGroup
	places := make(chan struct{}, 64)
	for k := range kinds * times {
		i := (k * 7) % kinds
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			path, body := mixed(i)
			var got string
			switch k % 3 {
			case 0:
				ctx, cancel := context.WithCancel(context.Background())
				q, _ := http.NewRequestWithContext(ctx, http.MethodPost, busy.url+path, strings.NewReader(strings.TrimSuffix(body, "}")+`,"stream":true}`))
				q.Header.Set("Content-Type", "application/json")
				if w, err := http.DefaultClient.Do(q); err == nil {
					_, _ = bufio.NewReader(w.Body).ReadString('\n')
					cancel()
					w.Body.Close()
				}
				cancel()
				return
			case 1:
				w, b := busy.post(path, strings.TrimSuffix(body, "}")+`,"stream":true,"stream_options":{"include_usage":true}}`)
				if w.StatusCode != 200 {
					t.Errorf("%d: %s", w.StatusCode, b)
					return
				}
				got = core(t, folded(t, chunks(t, bytes.NewReader(b))))
			default:
				got = core(t, busy.ask(path, body))
			}
			if got != want[i] {
				t.Errorf("%s\n%s\nalone %s", body, got, want[i])
			}
		})
	}
	all.Wait()
	freed(t, e)
}

// The log-probabilities of an answer have the bits that the trainer computes for
// its tokens.
func TestLogProbsAreTheTrainers(t *testing.T) {
	r, _ := random(t, Options{}, generate.Options{Speculate: true})
	got := r.wholeAndStreamed("/v1/completions", `{"prompt":"the weather","seed":3,"n":3,"max_tokens":20,"logprobs":0,"return_token_ids":true}`)
	numbers := func(v any) (out []int32) {
		for _, x := range v.([]any) {
			out = append(out, int32(x.(float64)))
		}
		return out
	}
	for _, c := range got["choices"].([]any) {
		prompt, answer := numbers(dig(c, "prompt_token_ids")), numbers(dig(c, "token_ids"))
		all := append(slices.Clone(prompt), answer...)
		n := len(all) - 1
		want, err := answertest.Weights().LogProbs(&deepseek.Batch{Tokens: all[:n], Labels: all[1:], Segments: []deepseek.Segment{{Start: 0, End: n}}})
		if err != nil {
			t.Fatal(err)
		}
		told := dig(c, "logprobs", "token_logprobs").([]any)
		if len(told) < len(answer)-1 {
			t.Fatalf("%d of %d tokens are told", len(told), len(answer))
		}
		for i, p := range told {
			if float32(p.(float64)) != want[len(prompt)-1+i] {
				t.Errorf("token %d has %v, the trainer %v", i, p, want[len(prompt)-1+i])
			}
		}
	}
	// Scoring a prompt alone gives the same numbers.
	for _, c := range got["choices"].([]any) {
		all := append(numbers(dig(c, "prompt_token_ids")), numbers(dig(c, "token_ids"))...)
		ids, _ := json.Marshal(all)
		for _, most := range []int{0, 3} {
			scored := r.wholeAndStreamed("/v1/completions", fmt.Sprintf(`{"prompt":%s,"seed":3,"max_tokens":%d,"echo":true,"logprobs":0}`, ids, most))
			lp := dig(scored, "choices", 0, "logprobs", "token_logprobs").([]any)
			told := dig(c, "logprobs", "token_logprobs").([]any)
			if len(lp) < len(all) || lp[0] != nil || most == 0 && len(lp) != len(all) {
				t.Fatalf("%d log-probabilities of %d tokens", len(lp), len(all))
			}
			for i := range told {
				if at := len(all) - len(numbers(dig(c, "token_ids"))) + i; lp[at] != told[i] {
					t.Errorf("token %d scores %v, was drawn with %v", at, lp[at], told[i])
				}
			}
		}
	}
	text := r.wholeAndStreamed("/v1/completions", `{"prompt":"the weather é","max_tokens":0,"echo":true,"logprobs":0,"seed":1}`)
	if dig(text, "choices", 0, "text") != "the weather é" || dig(text, "choices", 0, "logprobs", "token_logprobs", 0) == nil || dig(text, "choices", 0, "finish_reason") != "length" {
		t.Errorf("%v", text)
	}
	r.wholeAndStreamed("/v1/chat/completions", strings.Replace(hello, "1}", `1,"max_tokens":9,"n":2,"return_token_ids":true}`, 1))
}

// freed waits until an engine holds nothing.
func freed(t testing.TB, e *generate.Engine) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		st := e.Stats()
		if st.Running == 0 && st.Waiting == 0 && (st.FreePages == st.Pages || st.Snapshots > 0) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the engine still holds %+v", st)
		}
	}
}

// A client that goes away frees what its answer held, streamed or not.
func TestDisconnects(t *testing.T) {
	r, e := random(t, Options{}, generate.Options{Sequences: 2})
	endless := strings.Replace(hello, "1}", `1,"max_tokens":2000,"logit_bias":{},"n":2%s}`, 1)
	for _, more := range []string{`,"stream":true`, ``} {
		ctx, cancel := context.WithCancel(context.Background())
		q, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(endless, more)))
		q.Header.Set("Content-Type", "application/json")
		done := make(chan struct{})
		go func() {
			defer close(done)
			if w, err := http.DefaultClient.Do(q); err == nil {
				_, _ = io.Copy(io.Discard, w.Body)
				w.Body.Close()
			}
		}()
		for e.Stats().Running == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-done
		freed(t, e)
	}
	for end := time.Now().Add(5 * time.Second); strings.Count(r.log.String(), "status=499") < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log says %s", r.log.String())
		}
	}
}

// pipes is a listener whose connections hold nothing that is not read.
type pipes struct {
	net.Listener
	conns chan net.Conn
}

func (p *pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// A client that does not read holds up nobody, and is given up in time; what its
// answer held was free as soon as it was written.
func TestSlowReaders(t *testing.T) {
	m, e := answertest.Random(t, generate.Options{Sequences: 4})
	s, err := New(m, Options{Names: []string{"tiny"}})
	if err != nil {
		t.Fatal(err)
	}
	s.times.write = 500 * time.Millisecond
	p := &pipes{conns: make(chan net.Conn)}
	p.Listener, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, p, e.Serve) }()
	body := strings.Replace(hello, "1}", `1,"max_tokens":60,"n":4,"stream":true}`, 1)
	slow := p.dial()
	fmt.Fprintf(slow, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for e.Stats().Finished < 4 { // written to the end while nobody reads
		time.Sleep(time.Millisecond)
	}
	freed(t, e)
	other := p.dial()
	fmt.Fprintf(other, "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	w, err := http.ReadResponse(bufio.NewReader(other), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(chunks(t, w.Body)); n < 5 {
		t.Errorf("%d parts", n)
	}
	w.Body.Close()
	for { // the slow one is given up: closed without having been read
		s.mu.Lock()
		active := s.active
		s.mu.Unlock()
		if active == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	stop()
	close(p.conns)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Waiting clients hear that the server lives.
func TestBeats(t *testing.T) {
	e := answertest.Says("the")
	e.Hold = make(chan struct{})
	r := scripted(t, e, Options{}, quick)
	q, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(strings.Replace(hello, "1}", `1,"stream":true}`, 1)))
	q.Header.Set("Content-Type", "application/json")
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	in := bufio.NewReader(w.Body)
	for line := ""; line != ": waiting\n"; {
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	close(e.Hold)
	if list := chunks(t, in); dig(folded(t, list), "choices", 0, "message", "content") != "the" {
		t.Errorf("%v", list)
	}
}

// A server that is stopped takes nothing new, lets what runs finish, and after
// the time of grace breaks off what is left.
func TestStops(t *testing.T) {
	for _, c := range []struct {
		name   string
		grace  time.Duration
		finish bool
		hurry  bool
	}{{"finishes", time.Minute, true, false}, {"grace ends", 10 * time.Millisecond, false, false}, {"hurries", time.Minute, false, true}} {
		t.Run(c.name, func(t *testing.T) {
			e := answertest.Says("the the the")
			e.Hold = make(chan struct{})
			r := scripted(t, e, Options{Grace: c.grace})
			q, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+"/v1/chat/completions", strings.NewReader(strings.Replace(hello, "1}", `1,"stream":true}`, 1)))
			q.Header.Set("Content-Type", "application/json")
			w, err := http.DefaultClient.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Body.Close()
			e.Hold <- struct{}{}
			r.stop()
			if c.finish {
				for code := 200; code != 503; {
					code, _ = r.get("/health")
				}
				w, b := r.post("/v1/chat/completions", hello)
				if w.StatusCode != 503 || w.Header.Get("Retry-After") == "" || !strings.Contains(string(b), "server_stopping") {
					t.Errorf("%d %s", w.StatusCode, b)
				}
				close(e.Hold)
			}
			if c.hurry {
				r.s.Hurry()
			}
			b, err := io.ReadAll(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			if c.finish != strings.HasSuffix(string(b), "data: [DONE]\n\n") || c.finish == strings.Contains(string(b), "server_stopping") {
				t.Errorf("the stream ends with %q", b)
			}
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			r.ended <- nil
			if want := 1; !c.finish && e.Cancelled() != want {
				t.Errorf("%d cancelled", e.Cancelled())
			}
		})
	}
}
