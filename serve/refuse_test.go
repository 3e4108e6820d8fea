package serve

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer/answertest"
)

func TestRefusals(t *testing.T) {
	e := answertest.Says(long.Replace("the[eos]"))
	r := scripted(t, e, Options{MaxChoices: 4})
	chat := func(more string) string {
		return strings.TrimSuffix(hello, "}") + "," + more + "}"
	}
	const tools = `"tools":[{"type":"function","function":{"name":"get"}}]`
	for body, want := range map[string][3]string{ // param, code, part of the message
		``:                                {"", "", "not JSON"},
		`[]`:                              {"", "", "is a JSON array, want an object"},
		`{`:                               {"", "", "not JSON"},
		"{\"messages\":\"\xff\"}":         {"", "", "not JSON"},
		`{"messages":"\ud800"}`:           {"", "", "surrogate"},
		`{"model":"tiny","model":"tiny"}`: {"", "", "duplicate key"},
		`{}`:                              {"messages", "", "no messages"},
		`{"messages":[]}`:                 {"messages", "", "empty"},
		`{"messages":"hi"}`:               {"messages", "", "want a list"},
		`{"messages":[{"role":"bot"}]}`:   {"messages[0].role", "", `role "bot" is not one of`},
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}`:             {"messages[0].content[0]", "", "no other kinds of content"},
		`{"messages":[{"role":"user","content":5}]}`:                                                 {"messages[0].content", "", "got number"},
		`{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`:            {"messages", "", "the last message is the assistant's"},
		`{"messages":[{"role":"system","content":"x"}]}`:                                             {"messages", "", "end with a user or tool message"},
		`{"messages":[{"role":"user","content":"x","reasoning_content":"y"}]}`:                       {"messages", "", "only assistant messages may"},
		`{"messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}`:               {"messages[0].tool_calls[0].function", "", "no arguments"},
		`{"messages":[{"role":"user","content":"` + strings.Repeat("é", answertest.Context) + `"}]}`: {"messages", "context_length_exceeded", "context length is 2048 tokens"},
		chat(`"model":"gpt-4"`):                          {"model", "model_not_found", `use "tiny"`},
		chat(`"model":5`):                                {"model", "", "want string, got number"},
		chat(`"n":0`):                                    {"n", "", "n is 0, want a whole number from 1 to 4"},
		chat(`"n":5`):                                    {"n", "", "from 1 to 4"},
		chat(`"n":1.5`):                                  {"n", "", "whole number"},
		chat(`"n":1e999`):                                {"n", "", "whole number"},
		chat(`"temperature":3`):                          {"temperature", "", "want 0 to 2"},
		chat(`"temperature":-1`):                         {"temperature", "", "want 0 to 2"},
		chat(`"temperature":1e-9`):                       {"temperature", "", "0.001"},
		chat(`"temperature":"hot"`):                      {"temperature", "", "want number, got string"},
		chat(`"top_p":1.5`):                              {"top_p", "", "want 0 to 1"},
		chat(`"top_k":-2`):                               {"top_k", "", "from -1"},
		chat(`"max_tokens":0`):                           {"max_tokens", "", "from 1"},
		chat(`"max_tokens":3,"max_completion_tokens":4`): {"max_tokens", "", "give one of them"},
		chat(`"stop":["a","b","c","d","e"]`):             {"stop", "", "at most 4"},
		chat(`"stop":""`):                                {"stop", "", "want 1 to 512"},
		chat(`"stop":[1]`):                               {"stop", "", "list of strings"},
		strings.Replace(hello, `1}`, `1.5}`, 1):          {"seed", "", "whole number"},
		chat(`"stream":"yes"`):                           {"stream", "", "want true or false"},
		chat(`"stream_options":{"include_usage":true}`):  {"stream_options", "", "stream: true"},
		chat(`"stream":true,"stream_options":{"include_usage":1}`):                   {"stream_options.include_usage", "", "want true or false"},
		chat(`"logprobs":true,"top_logprobs":21`):                                    {"top_logprobs", "", "from 0 to 20"},
		chat(`"top_logprobs":2`):                                                     {"top_logprobs", "", "logprobs: true"},
		chat(`"logit_bias":{"5":1}`):                                                 {"logit_bias", "unsupported_parameter", "not supported"},
		chat(`"frequency_penalty":0.5`):                                              {"frequency_penalty", "unsupported_parameter", "own distribution"},
		chat(`"min_p":0.1`):                                                          {"min_p", "unsupported_parameter", "own distribution"},
		chat(`"functions":[{"name":"f"}],"audio":{},"suffix":""`):                    {"functions", "unsupported_parameter", "use tools"},
		chat(`"response_format":{"type":"json_schema"}`):                             {"response_format", "unsupported_parameter", "no constrained decoding"},
		chat(`"modalities":["text","audio"]`):                                        {"modalities", "unsupported_parameter", "text only"},
		chat(`"reasoning_effort":"much"`):                                            {"reasoning_effort", "", "want one of none, minimal"},
		chat(`"reasoning_effort":"high","thinking":false`):                           {"reasoning_effort", "", "says otherwise"},
		chat(`"thinking":{"type":"maybe"}`):                                          {"thinking.type", "", "enabled or disabled"},
		chat(`"tools":{}`):                                                           {"tools", "", "want array"},
		chat(`"tools":[{"type":"web_search"}]`):                                      {"tools[0].type", "unsupported_parameter", "functions only"},
		chat(`"tools":[{"type":"function"}]`):                                        {"tools[0]", "", "a tool must be"},
		chat(`"tool_choice":"required"`):                                             {"tool_choice", "", "there are no tools"},
		chat(`"tool_choice":"any",` + tools):                                         {"tool_choice", "", "want none, auto, required"},
		chat(`"tool_choice":{"type":"function"},` + tools):                           {"tool_choice", "", "to name a function"},
		chat(`"tool_choice":{"type":"function","function":{"name":"put"}},` + tools): {"tool_choice", "", "not among the tools"},
		chat(`"tool_choice":"required","thinking":true,` + tools):                    {"tool_choice", "unsupported_parameter", "turn thinking off"},
	} {
		w, b := r.post("/v1/chat/completions", body)
		got := parsed(t, b)
		param, _ := dig(got, "error", "param").(string)
		code, _ := dig(got, "error", "code").(string)
		message, _ := dig(got, "error", "message").(string)
		status := 400
		if code == "model_not_found" {
			status = 404
		}
		if w.StatusCode != status || param != want[0] || code != want[1] || !strings.Contains(message, want[2]) || dig(got, "error", "type") != "invalid_request_error" {
			t.Errorf("%s:\n%d %s\nwant %q", cutTo(body, 200), w.StatusCode, b, want)
		}
	}
	for body, want := range map[string][2]string{
		`{}`:                                      {"prompt", "no prompt"},
		`{"prompt":5}`:                            {"prompt", "got number"},
		`{"prompt":[]}`:                           {"prompt", "empty"},
		`{"prompt":[[]]}`:                         {"prompt[0]", "no tokens"},
		`{"prompt":[null]}`:                       {"prompt[0]", "got null"},
		`{"prompt":[1,"a"]}`:                      {"prompt", "[1]: want a token"},
		`{"prompt":[99999999999]}`:                {"prompt", "want a token"},
		`{"prompt":[320]}`:                        {"prompt", "from 0 to 303"},
		`{"prompt":["a","b","c","d","e"]}`:        {"prompt", "at most 4"},
		`{"prompt":["a","b","c"],"n":2}`:          {"n", "are 6 answers"},
		`{"prompt":"a","logprobs":true}`:          {"logprobs", "want number"},
		`{"prompt":"a","logprobs":1,"echo":true}`: {"logprobs", "no likely ones"},
		`{"prompt":"a","suffix":"b"}`:             {"suffix", "not supported"},
		`{"prompt":"a","best_of":3}`:              {"best_of", "must be equal"},
	} {
		w, b := r.post("/v1/completions", body)
		got := parsed(t, b)
		if message, _ := dig(got, "error", "message").(string); w.StatusCode != 400 || dig(got, "error", "param") != want[0] || !strings.Contains(message, want[1]) {
			t.Errorf("%s:\n%d %s\nwant %q", body, w.StatusCode, b, want)
		}
	}
	if n := len(e.Requests()); n != 0 {
		t.Errorf("%d of them were asked all the same", n)
	}
}

// What a request cannot be is refused by its head.
func TestHeads(t *testing.T) {
	r := scripted(t, answertest.Says("the"), Options{Token: "secret", MaxBody: 5000})
	auth := []string{"Authorization", "Bearer secret"}
	for _, c := range []struct {
		headers []string
		want    int
	}{
		{nil, 401},
		{[]string{"Authorization", "Bearer secre"}, 401},
		{[]string{"Authorization", "Basic secret"}, 401},
		{auth, 200},
		{append(auth, "Host", "evil.example"), 200},
		{append(auth, "Content-Type", "text/plain"), 415},
		{append(auth, "Content-Encoding", "gzip"), 415},
		{append(auth, "Content-Type", "application/json; charset=utf-8"), 200},
	} {
		if w, b := r.post("/v1/chat/completions", hello, c.headers...); w.StatusCode != c.want {
			t.Errorf("%v: %d %s", c.headers, w.StatusCode, b)
		}
	}
	if code, _ := r.get("/metrics"); code != 401 {
		t.Errorf("metrics without a token: %d", code)
	}
	if code, _ := r.get("/health"); code != 200 {
		t.Errorf("health without a token: %d", code)
	}
	open := scripted(t, answertest.Says("the"), Options{Hosts: []string{"Box.example:80"}})
	for host, want := range map[string]int{"evil.example": 421, "box.example:9": 200, "localhost:1": 200} {
		if w, b := open.post("/v1/chat/completions", hello, "Host", host); w.StatusCode != want {
			t.Errorf("%s: %d %s", host, w.StatusCode, b)
		}
	}
}

// zeros are an endless body that looks like JSON at first.
type zeros struct{ sent int64 }

func (z *zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	z.sent += int64(len(p))
	return len(p), nil
}

func TestLargeBodies(t *testing.T) {
	e := answertest.Says("the")
	r := scripted(t, e, Options{})
	for _, announced := range []bool{true, false} {
		const size = 100 << 20
		z := &zeros{}
		q, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+"/v1/chat/completions", io.LimitReader(z, size))
		q.Header.Set("Content-Type", "application/json")
		if announced {
			q.ContentLength = size
		}
		w, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(w.Body)
		w.Body.Close()
		if w.StatusCode != 413 || !strings.Contains(string(b), "request_too_large") {
			t.Errorf("announced %t: %d %s", announced, w.StatusCode, b)
		}
	}
	// Small ones that would become large.
	w, b := r.post("/v1/chat/completions", `{"x":[`+strings.Repeat("0,", 200000)+`0]}`)
	if w.StatusCode != 413 || !strings.Contains(string(b), "JSON values") {
		t.Errorf("%d %s", w.StatusCode, b)
	}
	w, b = r.post("/v1/chat/completions", strings.Repeat(`[`, 50000))
	if w.StatusCode != 400 {
		t.Errorf("%d %s", w.StatusCode, b)
	}
	many := `{"messages":[{"role":"user","content":"x"`
	for i := range 100 {
		many += `,"f` + strings.Repeat("x", i) + `":1`
	}
	if w, b = r.post("/v1/chat/completions", many+`}]}`); w.StatusCode != 400 || !strings.Contains(string(b), "kinds of unknown fields") {
		t.Errorf("%d %s", w.StatusCode, b)
	}
	if r.s.bodies.Load() != 0 {
		t.Errorf("%d bytes are still counted", r.s.bodies.Load())
	}
	// All together are bounded too.
	r.s.bodies.Add(r.s.o.MaxBodies)
	if w, b = r.post("/v1/chat/completions", hello); w.StatusCode != 429 || w.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", w.StatusCode, b)
	}
	r.s.bodies.Add(-r.s.o.MaxBodies)
	r.ask("/v1/chat/completions", hello)
}

// A client that sends slowly, or stops sending, is given up.
func TestSlowSenders(t *testing.T) {
	r := scripted(t, answertest.Says("the"), Options{}, quick)
	for _, sent := range []string{
		"POST /v1/chat/comp",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
		"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
		"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n",
	} {
		c, err := net.Dial("tcp", r.listen.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, sent); err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(c) // until the server ends it
		if strings.HasPrefix(sent, "POST /v1/chat/completions") && !bytes.Contains(b, []byte(" 408 ")) {
			t.Errorf("%q: %q", sent, b)
		}
	}
	if r.s.bodies.Load() != 0 {
		t.Errorf("%d bytes are still counted", r.s.bodies.Load())
	}
}

// A request that finds no room is refused as a whole, with a time to come again.
func TestQueueIsBounded(t *testing.T) {
	e := answertest.Says("the")
	e.Refuse = &generate.FullError{Waiting: 3, Queue: 3}
	r := scripted(t, e, Options{})
	if w, b := r.post("/v1/chat/completions", hello); w.StatusCode != 429 || w.Header.Get("Retry-After") != "1" || !strings.Contains(string(b), `"type":"rate_limit_error"`) {
		t.Errorf("%d %v %s", w.StatusCode, w.Header, b)
	}
	m, e2 := answertest.Random(t, generate.Options{Queue: 4, Sequences: 1})
	still := start(t, m, Options{}, idle)
	for range 2 {
		other, err := e2.Submit(generate.Request{Prompt: []int32{0}, MaxTokens: 1})
		if err != nil {
			t.Fatal(err)
		}
		other.Cancel()
	}
	if w, b := still.post("/v1/chat/completions", strings.Replace(hello, "1}", `1,"n":5}`, 1)); w.StatusCode != 400 || !strings.Contains(string(b), "from 1 to 4") {
		t.Errorf("more than may ever wait: %d %s", w.StatusCode, b)
	}
	if w, b := still.post("/v1/chat/completions", strings.Replace(hello, "1}", `1,"n":3}`, 1)); w.StatusCode != 429 {
		t.Errorf("%d %s", w.StatusCode, b)
	}
	if _, err := e2.Step(); err != nil { // those that were taken were cancelled
		t.Fatal(err)
	}
	if st := e2.Stats(); st.Waiting != 0 || st.Running != 0 || st.FreePages != st.Pages {
		t.Errorf("%+v", st)
	}
}

// An engine that breaks ends everything with an error, and the server too.
func TestEngineFails(t *testing.T) {
	e := answertest.Says("the the the")
	e.Hold = make(chan struct{})
	broken := make(chan error)
	r := start(t, answertest.Model(t, e, "deepseek-v4"), Options{}, func(context.Context) error { return <-broken })
	got := make(chan [2]string, 2)
	for _, more := range []string{`1}`, `1,"stream":true}`} {
		go func() {
			w, b := r.post("/v1/chat/completions", strings.Replace(hello, "1}", more, 1))
			got <- [2]string{w.Status, string(b)}
		}()
	}
	for len(e.Requests()) < 2 {
		time.Sleep(time.Millisecond)
	}
	broken <- errors.New("memory is gone")
	for range 2 {
		if g := <-got; !strings.Contains(g[1], "engine_failed") || g[0][:3] != "500" && g[0][:3] != "200" {
			t.Errorf("%q", g)
		}
	}
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "memory is gone") {
		t.Error(err)
	}
	r.ended <- nil
}

// One answer that fails is told, and others do not notice.
func TestAnswerFails(t *testing.T) {
	e := answertest.Says("the")
	e.Fail = errors.New("layer 3 is not finite")
	r := scripted(t, e, Options{})
	w, b := r.post("/v1/chat/completions", hello)
	if w.StatusCode != 500 || !strings.Contains(string(b), "layer 3") || !strings.Contains(string(b), "server_error") {
		t.Errorf("%d %s", w.StatusCode, b)
	}
	_, b = r.post("/v1/chat/completions", strings.Replace(hello, "1}", `1,"stream":true}`, 1))
	in := bufio.NewScanner(bytes.NewReader(b))
	last := ""
	for in.Scan() {
		if in.Text() != "" {
			last = in.Text()
		}
	}
	if !strings.HasPrefix(last, `data: {"error":`) || !strings.Contains(last, "layer 3") {
		t.Errorf("%s", b)
	}
	if !strings.Contains(r.log.String(), "layer 3") {
		t.Error("the log does not say it")
	}
}

func FuzzRequests(f *testing.F) {
	f.Add(hello)
	f.Add(`{"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","tool_calls":[{"id":"1","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"required","stop":["a"],"n":2,"logprobs":true,"top_logprobs":3}`)
	f.Add(`{"prompt":[[1,2],"a"],"echo":true,"max_tokens":3,"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_p":0}`)
	f.Add(`{"messages":[{"role":"user","content":"x","task":"action"}],"reasoning_effort":"max","thinking":{"type":"enabled"}}`)
	e := answertest.Says(long.Replace("r</think>the\n\n<|D|tool_calls>\n<|D|invoke name=\"f\">\n\n</|D|invoke>\n</|D|tool_calls>[eos]"))
	var servers []*Server
	for _, enc := range []string{"deepseek-v4", "deepseek-v3", "plain"} {
		s, err := New(answertest.Model(f, e, enc), Options{Names: []string{"tiny"}})
		if err != nil {
			f.Fatal(err)
		}
		servers = append(servers, s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, s := range servers {
			for _, path := range []string{"/v1/chat/completions", "/v1/completions"} {
				w := &recorder{header: http.Header{}}
				q, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost"+path, strings.NewReader(body))
				q.Header.Set("Content-Type", "application/json")
				s.ServeHTTP(w, q)
				switch {
				case strings.HasPrefix(w.header.Get("Content-Type"), "text/event-stream"):
					chunks(t, &w.body)
				case w.status == 200 || w.status == 400 || w.status == 404 || w.status == 413:
					parsed(t, w.body.Bytes())
				default:
					t.Fatalf("%d %s", w.status, w.body.String())
				}
			}
		}
	})
}

// recorder is an answer in memory; httptest's has no deadlines.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header              { return r.header }
func (r *recorder) Write(b []byte) (int, error)      { return r.body.Write(b) }
func (r *recorder) WriteHeader(status int)           { r.status = status }
func (r *recorder) Flush()                           {}
func (r *recorder) SetWriteDeadline(time.Time) error { return nil }
func (r *recorder) SetReadDeadline(time.Time) error  { return nil }
