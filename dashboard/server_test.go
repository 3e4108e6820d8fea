package dashboard

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// noon is the clock of the tests.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// prepared is a server of a directory that has been looked at to its end.
func prepared(t testing.TB, dir string) *Server {
	t.Helper()
	s := NewServer(Options{Dir: dir, Now: func() time.Time { return noon }})
	look(s)
	return s
}

// look reads all there is.
func look(s *Server) {
	s.hub.scan()
	for _, r := range s.hub.runs {
		r.polled = time.Time{}
	}
	for s.hub.look() {
	}
}

// get asks for a page by a name of the server.
func get(s *Server, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:8787"
	s.ServeHTTP(w, r)
	return w
}

// only returns the one run.
func only(t testing.TB, s *Server) *run {
	t.Helper()
	if len(s.hub.runs) != 1 {
		t.Fatalf("%d runs, want 1", len(s.hub.runs))
	}
	return s.hub.runs[0]
}

const hostile = `<script>alert("x")</script>`

func TestPages(t *testing.T) {
	dir := t.TempDir()
	whole(t, filepath.Join(dir, "a"), "first", 1, noon.Add(-2*time.Hour), [3]int64{60, 30, 10})
	whole(t, filepath.Join(dir, "sweep", "b"), hostile, 2, noon.Add(-3*time.Hour), [3]int64{60, 30, 10})
	s := prepared(t, dir)
	if len(s.hub.runs) != 2 {
		t.Fatalf("%d runs", len(s.hub.runs))
	}
	a, b := s.hub.runs[0].id, s.hub.runs[1].id
	for path, want := range map[string][]string{
		"/": {"first", "2 ended", "10 of 10 steps", "sweep/b", "&lt;script&gt;"},
		"/runs/" + a: {
			"first", "100 steps", "Ranks in numbers", "busiest is rank 11", "All experts as a table", "crash on rank 3", "steps are taken again", "held-out loss",
			"data/fineweb-00.jsonl", "AMD EPYC 9R14", "name: first", "evaluated by the night shift", " entries signed, in ",
		},
		"/runs/" + a + "/experts":                              {" to 100<"},
		"/compare":                                             {"Choose two or more runs"},
		"/compare?run=" + a + "&run=" + b:                      {"differ from the beginning", "facts that all runs share", "mean MFU", "- seed: 1", "&#43; seed: 2"},
		"/compare?run=" + a + "&run=" + b + "&all=1":           {"Side by side", "AMD EPYC 9R14"},
		"/compare?run=" + a + "&run=gone&run=" + hide(hostile): {"2 of the runs asked for are not here"},
		"/metrics": {"# TYPE temper_steps_total counter", `temper_steps_total{run="first"} 104`, `temper_run_ended{run="first"} 1`},
	} {
		w := get(s, path)
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
			continue
		}
		for _, text := range want {
			if !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s does not say %q", path, text)
			}
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && strings.Contains(w.Body.String(), "<script>") {
			t.Errorf("%s has a script in it", path)
		}
		for k, v := range headers {
			if w.Header().Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", path, k, w.Header().Get(k), v)
			}
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s allows other origins", path)
		}
	}
}

func TestAnswersAreCompressedForWhoUnderstands(t *testing.T) {
	dir := t.TempDir()
	whole(t, dir, "r", 1, noon.Add(-2*time.Hour), [3]int64{60, 30, 10})
	s := prepared(t, dir)
	path := "/runs/" + only(t, s).id
	plain := get(s, path)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost"
	r.Header.Set("Accept-Encoding", "br, gzip")
	s.ServeHTTP(w, r)
	z, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil || string(b) != plain.Body.String() || plain.Header().Get("Content-Encoding") != "" || w.Header().Get("Vary") != "Accept-Encoding" {
		t.Errorf("%d bytes, want %d; %v", len(b), plain.Body.Len(), err)
	}
}

func hide(s string) string { return strings.NewReplacer("<", "%3C", ">", "%3E", `"`, "%22").Replace(s) }

// The heat map's data, its table of all experts and its table of blocks are the
// counts of the record.
func TestRoutingIsThatOfTheRecord(t *testing.T) {
	dir := t.TempDir()
	s0 := begin(t, dir, "r", 1, noon.Add(-time.Hour), [3]int64{10, 0, 0})
	s0.run(10)
	counts := [][]int64{{5, 0, 7, 4}, {1, 1, 1, 1}, {0, 0, 0, 0}}
	s0.add(&record.Routing{From: 0, To: 10, Counts: counts})
	s0.close()
	s := prepared(t, dir)
	r := only(t, s)
	var got struct{ Counts [][]int64 }
	if err := json.Unmarshal(get(s, "/api/runs/"+r.id+"/routing").Body.Bytes(), &got); err != nil || fmt.Sprint(got.Counts) != fmt.Sprint(counts) {
		t.Errorf("routing %v, %v", got, err)
	}
	page := get(s, "/runs/"+r.id+"/experts").Body.String()
	for b, row := range counts {
		want := fmt.Sprintf(`<th scope="row">%d</th>`, b)
		for _, n := range row {
			want += fmt.Sprintf("<td>%d</td>", n)
		}
		if !strings.Contains(page, want) {
			t.Errorf("no row %s", want)
		}
	}
	v := r.viewRouting(-1)
	want := [][]string{{"0", "16", "2", "1.75", "1", "0.00", "1"}, {"1", "4", "0", "1.00", "0", "1.00", "0"}, {"2", "0", "0", none, "0", none, "4"}}
	if fmt.Sprint(v.Numbers.Rows) != fmt.Sprint(want) {
		t.Errorf("blocks %v, want %v", v.Numbers.Rows, want)
	}
}

func TestGuard(t *testing.T) {
	dir := t.TempDir()
	s := NewServer(Options{Dir: dir, Hosts: []string{"Box.Example"}})
	ask := func(change func(*http.Request)) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = "localhost:1"
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 8787}))
		change(r)
		s.ServeHTTP(w, r)
		return w.Code
	}
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8787": 200, "127.0.0.1": 200, "127.0.0.1:1": 200, "[::1]:8787": 200, "[::1]": 200, "localhost.": 200, "127.9.9.9": 200,
		"box.example": 200, "BOX.example:9": 200, "10.1.2.3:8787": 200, "[::ffff:10.1.2.3]:80": 200,
		"evil.example": 421, "": 421, "10.1.2.4": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "box.example.evil": 421,
		"0.0.0.0": 421, "0x7f000001": 421, "2130706433": 421, "[::]": 421, "localhost:80:80": 421, "evil@localhost": 421,
	} {
		if got := ask(func(r *http.Request) { r.Host = host }); got != want {
			t.Errorf("host %q: %d, want %d", host, got, want)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"} {
		if got := ask(func(r *http.Request) { r.Method = method }); got != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, got)
		}
	}
	for name, c := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"head":         {func(r *http.Request) { r.Method = http.MethodHead }, 200},
		"body":         {func(r *http.Request) { r.ContentLength = 5; r.Body = io.NopCloser(strings.NewReader("12345")) }, 413},
		"chunks":       {func(r *http.Request) { r.TransferEncoding = []string{"chunked"}; r.ContentLength = -1 }, 413},
		"long address": {func(r *http.Request) { r.URL.RawQuery = strings.Repeat("a", maxAddress) }, 414},
	} {
		if got := ask(c.change); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

// No address leads to a file that is not of a record below the directory.
func TestNothingElseIsServed(t *testing.T) {
	outside := t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("the secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := begin(t, filepath.Join(outside, "run"), "outside", 1, noon, [3]int64{5, 0, 0})
	other.run(2)
	other.close()
	dir := t.TempDir()
	mine := begin(t, filepath.Join(dir, "mine"), "mine", 1, noon, [3]int64{5, 0, 0})
	mine.run(2)
	mine.close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(filepath.Join(dir, "mine", "signing.key"), []byte("the secret"), 0o600))
	must(os.Symlink(filepath.Join(outside, "run"), filepath.Join(dir, "linked")))
	must(os.Mkdir(filepath.Join(dir, "half"), 0o755))
	must(os.Symlink(filepath.Join(outside, "run", "record"), filepath.Join(dir, "half", "record")))
	must(os.Symlink(".", filepath.Join(dir, "mine", "loop")))
	// Records whose files are links, a pipe that nobody writes, and a directory.
	for name, file := range map[string]func(string) error{
		"link":      func(p string) error { return os.Symlink(secret, p) },
		"pipe":      func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"directory": func(p string) error { return os.Mkdir(p, 0o755) },
	} {
		for _, bad := range []string{runlog.ManifestName, runlog.LogName, runlog.HeadsName} {
			rec := filepath.Join(dir, name+"-"+bad, recordDir)
			must(os.MkdirAll(rec, 0o755))
			for _, n := range []string{runlog.ManifestName, runlog.LogName, runlog.HeadsName} {
				if n == bad {
					must(file(filepath.Join(rec, n)))
				} else {
					b, err := os.ReadFile(filepath.Join(dir, "mine", recordDir, n))
					must(err)
					must(os.WriteFile(filepath.Join(rec, n), b, 0o644))
				}
			}
		}
	}
	s := prepared(t, dir)
	body := get(s, "/").Body.String()
	if !strings.Contains(body, ">mine<") || strings.Contains(body, "outside") || strings.Contains(body, outside) || strings.Contains(body, dir) {
		t.Errorf("the list has what it should not, or not what it should:\n%s", body)
	}
	id := ""
	for _, r := range s.hub.runs {
		if r.name == "mine" {
			id = r.id
		} else if state, _ := r.state(noon); state != Refused {
			t.Errorf("%s is %s", r.name, state)
		}
	}
	for _, path := range []string{
		"/runs/../../secret", "/runs/mine", "/runs/..%2f..%2fsecret", "/runs/" + id + "/../../../secret", "/assets/../server.go", "/assets/..%2fserver.go", "/assets/", "/assets",
		"/assets/layout.tmpl", "/assets/run.tmpl", "/runs/" + id + "/record/log", "/runs/", "/api/", "/api/runs/" + id, "/api/runs/x/series", "/api/runs/%2e%2e/series", "/debug/pprof/", "/favicon.ico", "//etc/passwd",
		"/mine/signing.key", "/runs/" + id + "/experts",
	} {
		w := get(s, path)
		if w.Code != http.StatusNotFound && w.Code != http.StatusMovedPermanently && w.Code != http.StatusTemporaryRedirect {
			t.Errorf("%s: %d", path, w.Code)
		}
		if strings.Contains(w.Body.String(), "the secret") {
			t.Errorf("%s gives a secret away", path)
		}
	}
}

// A key that somebody typed where it does not belong is not shown.
func TestKeysAreWithheld(t *testing.T) {
	dir := t.TempDir()
	key, err := runlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	const secret = "PRIVATE+KEY+temper+0a1b2c3d+AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAh"
	m := &record.Manifest{
		Run: "r " + secret, Recipe: "key: " + secret + "\n", Model: map[string]record.Digest{}, Data: []record.File{{Path: secret}},
		Program: record.Program{Modules: map[string]string{}, Build: map[string]string{"k": secret}}, Hosts: []record.Host{{Name: secret}},
		Ranks: 1, Mesh: record.One(), Links: []record.Link{}, Devices: []record.Device{}, Clock: "test",
	}
	w, err := runlog.Create(filepath.Join(dir, "a", recordDir), m, key, runlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []record.Body{&record.Note{Text: "note " + secret}, &record.Fault{Fault: "f", Evidence: "e " + secret}} {
		if _, err := w.Append(b); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s := prepared(t, dir)
	id := only(t, s).id
	for _, path := range []string{"/", "/runs/" + id, "/compare?run=" + id, "/metrics", "/api/runs/" + id + "/series"} {
		body := get(s, path).Body.String()
		if strings.Contains(body, "AQIDBAUG") || !strings.Contains(body, "withheld") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

// started is a server on a real listener.
func started(t *testing.T, s *Server) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return l.Addr().String(), stop
}

func dial(t *testing.T, addr, send string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, send); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func TestSlowAndHugeRequests(t *testing.T) {
	s := NewServer(Options{Dir: t.TempDir()})
	s.times.header = 50 * time.Millisecond
	addr, _ := started(t, s)
	// A head that never ends is given up.
	_, r := dial(t, addr, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 && !strings.HasPrefix(string(b), "HTTP/1.1 408") {
		t.Errorf("slow head: %q, %v", b, err)
	}
	_, r = dial(t, addr, "GET / HTTP/1.1\r\nHost: localhost\r\nX: "+strings.Repeat("a", 2*maxHeader)+"\r\n\r\n")
	if line, _ := r.ReadString('\n'); !strings.Contains(line, "431") {
		t.Errorf("huge head: %q", line)
	}
	_, r = dial(t, addr, "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
	if b, _ := io.ReadAll(r); !strings.Contains(string(b), " 413 ") { // and the connection ends
		t.Errorf("body: %q", b)
	}
	for _, bad := range []string{"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "nonsense\r\n\r\n"} {
		_, r = dial(t, addr, bad)
		if line, _ := r.ReadString('\n'); !strings.Contains(line, " 400 ") {
			t.Errorf("%q: %q", bad, line)
		}
	}
}

func TestConnectionsAreLimited(t *testing.T) {
	addr, _ := started(t, NewServer(Options{Dir: t.TempDir()}))
	var first net.Conn
	for i := range maxConns {
		c, r := dial(t, addr, "GET /assets/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Fatalf("connection %d: %q, %v", i, line, err)
		}
		if i == 0 {
			first = c
		}
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("one connection too many was answered: %q", b)
	}
	first.Close()
	for { // the server notices in its own time
		_, r := dial(t, addr, "GET /assets/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if line, _ := r.ReadString('\n'); strings.Contains(line, "200") {
			break
		}
	}
}

// Pages that wait are told of changes, are limited in number, and do not keep
// the server from stopping.
func TestStreams(t *testing.T) {
	dir := t.TempDir()
	syn := begin(t, filepath.Join(dir, "a"), "a", 1, noon.Add(-time.Minute), [3]int64{100, 0, 0})
	syn.run(3)
	s := prepared(t, dir)
	id := s.hub.runs[0].id
	addr, stop := started(t, s)
	open := func(query string) (net.Conn, *bufio.Reader, string) {
		c, r := dial(t, addr, "GET /events"+query+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
		line, _ := r.ReadString('\n')
		return c, r, line
	}
	c, all, line := open("")
	_, other, _ := open("?run=other")
	if !strings.Contains(line, "200") {
		t.Fatal(line)
	}
	for range maxStreams - 2 {
		if _, _, line := open(""); !strings.Contains(line, "200") {
			t.Fatal(line)
		}
	}
	if _, _, line := open(""); !strings.Contains(line, "503") {
		t.Errorf("one stream too many: %q", line)
	}
	syn.run(1)
	waitFor(t, all, `data: {"runs":["`+id+`"],"list":false}`)
	s2 := begin(t, filepath.Join(dir, "b"), "b", 2, noon, [3]int64{100, 0, 0})
	s2.run(1)
	s.hub.scan()
	waitFor(t, all, `"list":true`)
	// Who asked for another run hears of the list only.
	for {
		line, err := other.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, id) {
			t.Errorf("told of a run that was not asked for: %s", line)
		}
		if strings.Contains(line, `"list":true`) {
			break
		}
	}
	c.Close()
	for { // the server notices in its own time
		if _, _, line := open(""); strings.Contains(line, "200") {
			break
		}
	}
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := io.ReadAll(other); err != nil {
		t.Errorf("the stream ended with %v", err)
	}
}

func waitFor(t *testing.T, r *bufio.Reader, text string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("before %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

// Only so many answers are computed at a time; what costs nothing does not wait.
func TestTurns(t *testing.T) {
	s := prepared(t, t.TempDir())
	for range maxTurns {
		s.turns <- struct{}{}
	}
	if w := get(s, "/assets/app.css"); w.Code != 200 {
		t.Errorf("an asset waits: %d", w.Code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil).WithContext(ctx)
	if s.ServeHTTP(w, r); w.Body.Len() > 0 {
		t.Error("an answer out of turn")
	}
	done := make(chan int)
	go func() { done <- get(s, "/").Code }()
	<-s.turns
	if code := <-done; code != 200 {
		t.Errorf("in turn: %d", code)
	}
	if len(s.turns) != maxTurns-1 {
		t.Errorf("%d turns are taken, want %d", len(s.turns), maxTurns-1)
	}
}
