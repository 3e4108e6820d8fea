package serve

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer"
	"github.com/temper-ml/temper/serve/answer/answertest"
)

var long = strings.NewReplacer("[eos]", "<｜end▁of▁sentence｜>", "|D|", "｜DSML｜")

// running is a server that runs.
type running struct {
	t      testing.TB
	s      *Server
	url    string
	stop   context.CancelFunc
	ended  chan error
	log    *lockedBuffer
	listen net.Listener
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// idle is the work of an engine that needs none.
func idle(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func start(t testing.TB, m *answer.Model, o Options, work func(context.Context) error, change ...func(*Server)) *running {
	t.Helper()
	if o.Names == nil {
		o.Names = []string{"tiny", "org/other"}
	}
	r := &running{t: t, ended: make(chan error, 1), log: &lockedBuffer{}}
	o.Log, o.Access = slog.New(slog.NewTextHandler(r.log, nil)), true
	var err error
	if r.s, err = New(m, o); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r.s)
	}
	if r.listen, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + r.listen.Addr().String()
	var ctx context.Context
	ctx, r.stop = context.WithCancel(context.Background())
	go func() { r.ended <- r.s.Run(ctx, r.listen, work) }()
	t.Cleanup(func() {
		r.stop()
		r.s.Hurry()
		r.ended <- <-r.ended
	})
	return r
}

// scripted starts a server of a scripted engine.
func scripted(t testing.TB, e *answertest.Script, o Options, change ...func(*Server)) *running {
	return start(t, answertest.Model(t, e, "deepseek-v4"), o, idle, change...)
}

// random starts a server of the model of random weights.
func random(t testing.TB, o Options, eo generate.Options, change ...func(*Server)) (*running, *generate.Engine) {
	m, e := answertest.Random(t, eo)
	return start(t, m, o, e.Serve, change...), e
}

// post sends a body and returns status and answer.
func (r *running) post(path, body string, headers ...string) (*http.Response, []byte) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		if q.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			q.Host = headers[i+1]
		}
	}
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.Body.Close()
	b, err := io.ReadAll(w.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return w, b
}

func (r *running) get(path string, headers ...string) (int, string) {
	r.t.Helper()
	q, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, r.url+path, http.NoBody)
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer w.Body.Close()
	b, _ := io.ReadAll(w.Body)
	return w.StatusCode, string(b)
}

// object is JSON as it comes.
type object = map[string]any

func parsed(t testing.TB, b []byte) object {
	t.Helper()
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		t.Fatalf("%v: %q", err, b)
	}
	return o
}

// ask posts and returns the answer, which must be good.
func (r *running) ask(path, body string) object {
	r.t.Helper()
	w, b := r.post(path, body)
	if w.StatusCode != http.StatusOK {
		r.t.Fatalf("%s: %s", w.Status, b)
	}
	return parsed(r.t, b)
}

// dig follows names and indices.
func dig(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			o, _ := v.(object)
			v = o[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

// chunks reads a stream's events; the last is [DONE].
func chunks(t testing.TB, body io.Reader) (list []object) {
	t.Helper()
	in := bufio.NewScanner(body)
	in.Buffer(nil, 1<<20)
	done := false
	for in.Scan() {
		line := in.Text()
		switch data, ok := strings.CutPrefix(line, "data: "); {
		case line == "", strings.HasPrefix(line, ": "):
		case !ok || done:
			t.Fatalf("line %q", line)
		case data == "[DONE]":
			done = true
		default:
			list = append(list, parsed(t, []byte(data)))
		}
	}
	if err := in.Err(); err != nil || !done {
		t.Fatalf("the stream ends without [DONE]: %v: %v", err, list)
	}
	return list
}

// folded puts the parts of a stream together, as clients do.
func folded(t testing.TB, list []object) object {
	t.Helper()
	whole := object{"choices": []any{}}
	for _, c := range list {
		for k, v := range c {
			if k != "choices" && v != nil {
				whole[k] = v
			}
		}
		for _, p := range c["choices"].([]any) {
			p := p.(object)
			i := int(p["index"].(float64))
			all := whole["choices"].([]any)
			for len(all) <= i {
				all = append(all, object{"index": float64(len(all)), "logprobs": nil, "message": object{}})
			}
			whole["choices"] = all
			fold(all[i].(object), p)
		}
	}
	return whole
}

// fold adds a part to a choice.
func fold(to, p object) {
	if text, ok := p["text"].(string); ok {
		before, _ := to["text"].(string)
		to["text"] = before + text
		delete(to, "message")
	}
	if f := p["finish_reason"]; f != nil {
		to["finish_reason"] = f
	}
	for _, k := range []string{"token_ids", "prompt_token_ids"} {
		if l, ok := p[k].([]any); ok {
			before, _ := to[k].([]any)
			to[k] = append(before, l...)
		}
	}
	if lp, ok := p["logprobs"].(object); ok {
		if to["logprobs"] == nil {
			to["logprobs"] = object{}
		}
		for k, v := range lp {
			if l, ok := v.([]any); ok {
				before, ok := to["logprobs"].(object)[k].([]any)
				if !ok {
					before = []any{}
				}
				to["logprobs"].(object)[k] = append(before, l...)
			} else if _, ok := to["logprobs"].(object)[k]; !ok {
				to["logprobs"].(object)[k] = v
			}
		}
	}
	d, _ := p["delta"].(object)
	for k, v := range d {
		m := to["message"].(object)
		switch k {
		case "role":
			m[k] = v
		case "tool_calls":
			call := v.([]any)[0].(object)
			calls, _ := m[k].([]any)
			n := int(call["index"].(float64))
			if n == len(calls) {
				calls = append(calls, object{"id": call["id"], "type": call["type"], "function": object{"name": dig(call, "function", "name"), "arguments": ""}})
			}
			f := calls[n].(object)["function"].(object)
			f["arguments"] = f["arguments"].(string) + dig(call, "function", "arguments").(string)
			m[k] = calls
		default:
			before, _ := m[k].(string)
			m[k] = before + v.(string)
		}
	}
}

// wholeAndStreamed asks twice and holds the stream to the whole answer.
func (r *running) wholeAndStreamed(path, body string) object {
	r.t.Helper()
	whole := r.ask(path, body)
	w, b := r.post(path, strings.TrimSuffix(body, "}")+`,"stream":true,"stream_options":{"include_usage":true}}`)
	if w.StatusCode != http.StatusOK || !strings.HasPrefix(w.Header.Get("Content-Type"), "text/event-stream") {
		r.t.Fatalf("%s: %s", w.Status, b)
	}
	list := chunks(r.t, bytes.NewReader(b))
	got := folded(r.t, list)
	for i, c := range list {
		if usage, ok := c["usage"]; !ok || (usage != nil) != (i == len(list)-1) {
			r.t.Errorf("part %d of %d has usage %v", i, len(list), usage)
		}
	}
	for _, c := range whole["choices"].([]any) { // what a stream says otherwise
		if m, ok := c.(object)["message"].(object); ok {
			delete(m, "refusal")
			if m["content"] == nil {
				m["content"] = ""
			}
		}
	}
	want, _ := json.Marshal(object{"choices": whole["choices"], "usage": whole["usage"], "seed": whole["seed"]})
	have, _ := json.Marshal(object{"choices": got["choices"], "usage": got["usage"], "seed": got["seed"]})
	if !bytes.Equal(want, have) {
		r.t.Errorf("%s\nwhole  %s\nstream %s", body, want, have)
	}
	return whole
}

const hello = `{"messages":[{"role":"user","content":"hi"}],"seed":1}`

func TestChat(t *testing.T) {
	e := answertest.Says("the answer é你 is 42[eos]")
	e.Write = func(generate.Request) string { return long.Replace("the answer é你 is 42[eos]") }
	r := scripted(t, e, Options{Fingerprint: "fp"})
	got := r.wholeAndStreamed("/v1/chat/completions", `{"model":"tiny","messages":[{"role":"developer","content":"be brief"},{"role":"user","content":[{"type":"text","text":"hi"}],"name":"x"}],"seed":5,"n":2,"logprobs":true,"top_logprobs":2,"user":"u","metadata":{"a":"b"},"store":true}`)
	if got["object"] != "chat.completion" || got["model"] != "tiny" || got["seed"] != 5.0 || got["system_fingerprint"] != "fp" || !strings.HasPrefix(got["id"].(string), "chatcmpl-") {
		t.Errorf("%v", got)
	}
	if dig(got, "choices", 1, "message", "content") != "the answer é你 is 42" || dig(got, "choices", 1, "finish_reason") != "stop" {
		t.Errorf("%v", got)
	}
	var text []byte
	for _, k := range dig(got, "choices", 0, "logprobs", "content").([]any) {
		for _, b := range dig(k, "bytes").([]any) {
			text = append(text, byte(b.(float64)))
		}
		if len(dig(k, "top_logprobs").([]any)) != 2 {
			t.Errorf("%v", k)
		}
	}
	if string(text) != "the answer é你 is 42" {
		t.Errorf("the bytes of the tokens are %q", text)
	}
	u := got["usage"].(object)
	if u["total_tokens"] != u["prompt_tokens"].(float64)+u["completion_tokens"].(float64) || int(u["prompt_tokens"].(float64)) != len(e.Requests()[0].Prompt) {
		t.Errorf("%v", u)
	}
	q := e.Requests()
	if len(q) != 4 || q[0].Seed != 5 || q[0].Sample != 0 || q[1].Sample != 1 || q[0].Temperature != 1 || q[0].TopP != 1 || q[0].TopLogProbs != 2 || q[0].MaxTokens != answertest.Context {
		t.Errorf("%+v", q)
	}
	if prompt := r.s.m.Text(q[0].Prompt); prompt != "<｜begin▁of▁sentence｜>be brief<｜User｜>hi<｜Assistant｜></think>" {
		t.Errorf("the prompt is %q", prompt)
	}
	// A seed that is not given is drawn and told.
	r.s.o.Seed = func() uint64 { return 77 }
	if got := r.ask("/v1/chat/completions", strings.Replace(hello, `"seed":1`, `"seed":null`, 1)); got["seed"] != 77.0 || e.Requests()[4].Seed != 77 {
		t.Errorf("seed %v", got["seed"])
	}
	if s := RandomSeed(); s>>52 != 0 {
		t.Errorf("seed %d is not exact everywhere", s)
	}
}

func TestReasoning(t *testing.T) {
	e := answertest.Says("")
	e.Write = func(r generate.Request) string {
		if id, _ := answertest.Tokenizer().Special("<think>"); r.Prompt[len(r.Prompt)-1] == id {
			return long.Replace("so it is</think>yes[eos]")
		}
		return long.Replace("no[eos]")
	}
	r := scripted(t, e, Options{})
	for field, want := range map[string][2]string{
		`"seed":1`:                      {"", "no"},
		`"reasoning_effort":"low"`:      {"so it is", "yes"},
		`"reasoning_effort":"none"`:     {"", "no"},
		`"reasoning_effort":"max"`:      {"so it is", "yes"},
		`"thinking":true`:               {"so it is", "yes"},
		`"thinking":{"type":"enabled"}`: {"so it is", "yes"},
	} {
		got := r.wholeAndStreamed("/v1/chat/completions", `{"messages":[{"role":"user","content":"hi"}],"logprobs":true,"seed":1,`+strings.Replace(field, `"seed":1`, `"n":1`, 1)+`}`)
		reasoning, _ := dig(got, "choices", 0, "message", "reasoning_content").(string)
		if reasoning != want[0] || dig(got, "choices", 0, "message", "content") != want[1] {
			t.Errorf("%s: %v", field, got)
		}
		if n := dig(got, "usage", "completion_tokens_details", "reasoning_tokens").(float64); (n > 0) != (want[0] != "") {
			t.Errorf("%s: %v tokens of reasoning", field, n)
		}
		if lp := dig(got, "choices", 0, "logprobs", "reasoning_content"); (lp != nil) != (want[0] != "") {
			t.Errorf("%s: log-probabilities of reasoning: %v", field, lp)
		}
	}
	if p := r.s.m.Text(e.Requests()[0].Prompt); strings.Contains(p, "Absolute maximum") {
		for _, q := range e.Requests() {
			if strings.Contains(r.s.m.Text(q.Prompt), "Absolute maximum") {
				return
			}
		}
		t.Error("effort max says nothing")
	}
}

func TestTools(t *testing.T) {
	const block = "ok\n\n<|D|tool_calls>\n<|D|invoke name=\"get\">\n<|D|parameter name=\"city\" string=\"true\">Zürich</|D|parameter>\n<|D|parameter name=\"days\" string=\"false\">3</|D|parameter>\n</|D|invoke>\n<|D|invoke name=\"put\">\n\n</|D|invoke>\n</|D|tool_calls>[eos]"
	e := answertest.Says(long.Replace(block))
	r := scripted(t, e, Options{})
	const tools = `"tools":[{"type":"function","function":{"name":"get","description":"d","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},{"type":"function","function":{"name":"put"}}]`
	const ask = `{"messages":[{"role":"user","content":"hi"}],"seed":1,` + tools
	got := r.wholeAndStreamed("/v1/chat/completions", ask+`}`)
	calls := dig(got, "choices", 0, "message", "tool_calls").([]any)
	if len(calls) != 2 || dig(calls, 0, "function", "arguments") != `{"city": "Zürich", "days": 3}` || dig(calls, 1, "function", "name") != "put" || dig(calls, 1, "function", "arguments") != "{}" {
		t.Errorf("%v", calls)
	}
	if dig(got, "choices", 0, "finish_reason") != "tool_calls" || dig(got, "choices", 0, "message", "content") != "ok" || dig(calls, 0, "id") == dig(calls, 1, "id") {
		t.Errorf("%v", got)
	}
	if p := r.s.m.Text(e.Requests()[0].Prompt); !strings.Contains(p, `{"name": "get", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}`) {
		t.Errorf("the prompt is %q", p)
	}
	got = r.wholeAndStreamed("/v1/chat/completions", ask+`,"parallel_tool_calls":false}`)
	if calls := dig(got, "choices", 0, "message", "tool_calls").([]any); len(calls) != 1 || e.Cancelled() != 2 {
		t.Errorf("%v, %d cancelled", calls, e.Cancelled())
	}
	got = r.wholeAndStreamed("/v1/chat/completions", ask+`,"tool_choice":"none"}`)
	if dig(got, "choices", 0, "message", "tool_calls") != nil || dig(got, "choices", 0, "message", "content") != long.Replace(strings.TrimSuffix(block, "[eos]")) {
		t.Errorf("%v", got)
	}
	// The whole round: the call and its result go back in.
	turn, _ := json.Marshal(object{"role": "assistant", "content": nil, "tool_calls": calls, "refusal": nil, "annotations": []any{}})
	r.ask("/v1/chat/completions", fmt.Sprintf(`{"messages":[{"role":"user","content":"hi"},%s,{"role":"tool","tool_call_id":%q,"content":"r2"},{"role":"tool","tool_call_id":%q,"content":"r1"}],%s}`, turn, dig(calls, 1, "id"), dig(calls, 0, "id"), tools))
	last := e.Requests()[len(e.Requests())-1]
	if p := r.s.m.Text(last.Prompt); !strings.Contains(p, long.Replace(`string="true">Zürich</|D|parameter>`)) || !strings.Contains(p, "<tool_result>r1</tool_result>\n\n<tool_result>r2</tool_result>") {
		t.Errorf("the prompt is %q", p)
	}
	// One that goes wrong is text, as far as that was not told before.
	e.Write = func(generate.Request) string {
		return long.Replace("\n\n<|D|tool_calls>\n<|D|invoke name=\"get\">\noops[eos]")
	}
	got = r.ask("/v1/chat/completions", ask+`}`)
	if dig(got, "choices", 0, "message", "tool_calls") != nil || dig(got, "choices", 0, "finish_reason") != "stop" || !strings.HasSuffix(dig(got, "choices", 0, "message", "content").(string), "oops") {
		t.Errorf("%v", got)
	}
	// A demanded call has begun already.
	e.Write = func(generate.Request) string { return long.Replace("\n</|D|invoke>\n</|D|tool_calls>[eos]") }
	got = r.wholeAndStreamed("/v1/chat/completions", ask+`,"tool_choice":{"type":"function","function":{"name":"put"}}}`)
	if dig(got, "choices", 0, "message", "tool_calls", 0, "function", "name") != "put" || dig(got, "choices", 0, "message", "content") != nil && dig(got, "choices", 0, "message", "content") != "" {
		t.Errorf("%v", got)
	}
}

func TestTexts(t *testing.T) {
	e := answertest.Says(long.Replace("é is 42 the end[eos]"))
	r := scripted(t, e, Options{})
	got := r.wholeAndStreamed("/v1/completions", `{"model":"org/other","prompt":["a","é"],"seed":1,"n":2,"max_tokens":50,"stop":["the"],"logprobs":2}`)
	if got["object"] != "text_completion" || len(got["choices"].([]any)) != 4 || dig(got, "choices", 3, "text") != "é is 42 " {
		t.Errorf("%v", got)
	}
	lp := dig(got, "choices", 0, "logprobs").(object)
	if dig(lp, "tokens", 0) != `bytes:\xc3` || dig(lp, "text_offset", 1) != 0.0 || dig(lp, "text_offset", 2) != 1.0 || len(dig(lp, "top_logprobs", 0).(object)) != 2 {
		t.Errorf("%v", lp)
	}
	if n := len(lp["tokens"].([]any)); n != len(lp["token_logprobs"].([]any)) || n != len(lp["text_offset"].([]any)) {
		t.Errorf("%v", lp)
	}
	if q := e.Requests(); q[2].Sampling.Prompt != 1 || q[2].Sample != 0 || q[1].Sample != 1 || q[0].Prompt[0] != 0 {
		t.Errorf("%+v", q)
	}
	if got := r.wholeAndStreamed("/v1/completions", `{"prompt":"ab","echo":true,"seed":1}`); dig(got, "choices", 0, "text") != "abé is 42 the end" {
		t.Errorf("%v", got)
	}
	r.wholeAndStreamed("/v1/completions", `{"prompt":[5,6,7],"seed":-9,"temperature":0,"top_p":0,"top_k":3}`)
	q := e.Requests()[len(e.Requests())-1]
	if len(q.Prompt) != 3 || q.Prompt[0] != 5 || int64(q.Seed) != -9 || q.Temperature != 0 || !(q.TopP > 0 && q.TopP < 1e-30) || q.TopK != 3 || q.MaxTokens != 16 {
		t.Errorf("%+v", q)
	}
	if got := r.ask("/v1/completions", `{"prompt":[[5],[6,7]]}`); len(got["choices"].([]any)) != 2 {
		t.Errorf("%v", got)
	}
}

func TestModelsHealthMetrics(t *testing.T) {
	r := scripted(t, answertest.Says(long.Replace("the[eos]")), Options{})
	if code, text := r.get("/v1/models"); code != 200 || !strings.Contains(text, `"id":"tiny"`) || !strings.Contains(text, `"id":"org/other"`) {
		t.Error(code, text)
	}
	if code, text := r.get("/v1/models/org/other"); code != 200 || !strings.Contains(text, `"max_model_len":2048`) {
		t.Error(code, text)
	}
	if code, text := r.get("/v1/models/no"); code != 404 || !strings.Contains(text, "model_not_found") {
		t.Error(code, text)
	}
	if code, text := r.get("/v1/embeddings"); code != 404 || !strings.Contains(text, "unknown_url") {
		t.Error(code, text)
	}
	if code, text := r.get("/v1/completions"); code != 405 || !strings.Contains(text, "use POST") {
		t.Error(code, text)
	}
	if code, text := r.get("/health"); code != 200 || text != `{"status":"ok"}` {
		t.Error(code, text)
	}
	r.ask("/v1/chat/completions", hello)
	r.post("/v1/chat/completions", "{")
	_, text := r.get("/metrics")
	for _, want := range []string{
		"temper_serve_queue{} 0\n", "temper_serve_cache_pages{} 9\n", "temper_serve_cache_free_pages{} 7\n",
		`temper_serve_requests_total{endpoint="chat",status="200"} 1`, `temper_serve_requests_total{endpoint="chat",status="400"} 1`,
		`temper_serve_request_seconds_bucket{le="+Inf"} 1`, "temper_serve_first_text_seconds_count{} 1", "# TYPE temper_serve_tokens_per_second gauge",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics have no %s:\n%s", want, text)
		}
	}
	log := r.log.String()
	if !strings.Contains(log, "status=200") || !strings.Contains(log, "tokens=") || strings.Contains(log, "hi") && strings.Contains(log, "content") {
		t.Errorf("the log says %s", log)
	}
}

// times of tests are short.
func quick(s *Server) {
	s.times = times{header: 200 * time.Millisecond, idle: time.Second, body: 200 * time.Millisecond, write: 200 * time.Millisecond, beat: 20 * time.Millisecond, linger: 200 * time.Millisecond, last: time.Second}
}
