package dashboard

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/temper-ml/temper/report/record"
)

// browser is a real Chromium that must find nothing to complain about.
type browser struct {
	t      *testing.T
	ctx    context.Context
	origin string
	mu     sync.Mutex
	faults []string // errors in the console, requests to elsewhere
}

// newBrowser starts a server and a Chromium, or skips the test where there is
// none: install chromium, or set TEMPER_BROWSER=must to fail instead.
func newBrowser(t *testing.T, s *Server) *browser {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes long")
	}
	found := false
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless-shell", "chrome"} {
		if _, err := exec.LookPath(name); err == nil {
			found = true
		}
	}
	if !found {
		if os.Getenv("TEMPER_BROWSER") == "must" {
			t.Fatal("no chromium in PATH")
		}
		t.Skip("no chromium in PATH: on Debian, apt install chromium; scripts/browser.sh does")
	}
	addr, _ := started(t, s)
	b := &browser{t: t, origin: "http://" + addr}
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	t.Cleanup(cancel)
	options := []chromedp.ExecAllocatorOption{chromedp.WSURLReadTimeout(time.Minute)}
	if os.Geteuid() == 0 { // the sandbox refuses to run as root, as containers do
		options = append(options, chromedp.NoSandbox)
	}
	b.ctx, cancel = chromedp.NewContext(ctx, chromedp.WithAllocatorOptions(options...))
	t.Cleanup(cancel)
	b.check(chromedp.Listen(b.ctx, b.listen))
	_, err := chromedp.Call(b.ctx, network.Enable, network.EnableParams{})
	b.check(err)
	_, err = chromedp.Call(b.ctx, log.Enable, struct{}{})
	b.check(err)
	return b
}

func (b *browser) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// listen collects what must not happen.
func (b *browser) listen(ev any) {
	fault := ""
	switch e := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("console: %s %v", e.Type, e.Args)
	case *runtime.EventExceptionThrown:
		fault = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			fault += " " + e.ExceptionDetails.Exception.Description
		}
	case *log.EventEntryAdded:
		fault = "log: " + e.Entry.Text + " " + e.Entry.URL
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.origin+"/") {
			fault = "request to " + e.Request.URL
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 {
			fault = fmt.Sprintf("%d for %s", int(e.Response.Status), e.Response.URL)
		}
	}
	if fault != "" {
		b.mu.Lock()
		b.faults = append(b.faults, fault)
		b.mu.Unlock()
	}
}

// clean fails if anything happened that must not.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.t.Error(f)
	}
	b.faults = nil
}

// open goes to a page and waits for its scripts to have drawn.
func (b *browser) open(path string) {
	b.t.Helper()
	b.check(chromedp.Do(b.ctx, chromedp.Navigate(b.origin+path)))
	b.until(`document.readyState === "complete" && document.querySelectorAll("figure[data-chart]").length === document.querySelectorAll("figure[data-chart] .uplot").length`)
}

// eval is the value of an expression in the page.
func eval[T any](b *browser, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// until waits for an expression to hold.
func (b *browser) until(js string) {
	b.t.Helper()
	for !eval[bool](b, "!!("+js+")") {
		select {
		case <-b.ctx.Done():
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("never: %s; %v", js, b.faults)
		case <-time.After(30 * time.Millisecond):
		}
	}
}

func (b *browser) press(keys string, options ...chromedp.KeyOption) {
	b.t.Helper()
	b.check(chromedp.Do(b.ctx, chromedp.KeyEvent(keys, options...)))
}

// nowServer is a server with the machine's clock that waits for a browser on a
// busy machine.
func nowServer(dir string) *Server {
	s := NewServer(Options{Dir: dir})
	s.times = times{header: time.Hour, read: time.Hour, write: time.Hour, idle: time.Hour, stop: time.Second, beat: 3 * time.Second}
	return s
}

// Every page loads without a word in the console and without a request to
// elsewhere, in both colour schemes and narrow, and fits into its width.
func TestBrowserLoadsPages(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	whole(t, filepath.Join(dir, "a"), "first", 1, now.Add(-2*time.Hour), [3]int64{60, 30, 10})
	whole(t, filepath.Join(dir, "b"), hostile, 2, now.Add(-3*time.Hour), [3]int64{60, 30, 10})
	begin(t, filepath.Join(dir, "c"), "nothing yet", 3, now, [3]int64{60, 0, 0})
	s := nowServer(dir)
	look(s)
	var ids []string
	for _, r := range s.hub.runs {
		ids = append(ids, r.id)
	}
	b := newBrowser(t, s)
	for _, scheme := range []string{"light", "dark"} {
		_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		b.check(err)
		for _, width := range []int64{1280, 400, 320} {
			b.check(chromedp.Do(b.ctx, chromedp.EmulateViewport(width, 900)))
			for _, path := range []string{"/", "/runs/" + ids[0], "/runs/" + ids[1], "/runs/" + ids[2], "/runs/" + ids[0] + "/experts", "/compare", "/compare?run=" + ids[0] + "&run=" + ids[1]} {
				b.open(path)
				if w := eval[int64](b, `document.documentElement.scrollWidth`); w > width {
					t.Errorf("%s is %d pixels wide in a window of %d", path, w, width)
				}
			}
		}
	}
	// A hostile name is text, in the page and in the title.
	b.open("/runs/" + ids[1])
	if got := eval[string](b, `document.querySelector("h1").textContent + document.title`); got != hostile+hostile+" · temper" {
		t.Errorf("name is %q", got)
	}
	if n := eval[int64](b, `document.scripts.length`); n != 2 {
		t.Errorf("%d scripts", n)
	}
	b.clean()
	// The page itself may start nothing: the policy stops what would be put in.
	if eval[bool](b, `(() => { const s = document.createElement("script"); s.textContent = "window.bad = 1"; document.body.append(s); return window.bad === 1; })()`) {
		t.Error("a script in the page ran")
	}
	b.until(`true`)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !strings.Contains(strings.Join(b.faults, "\n"), "Content Security Policy") {
		t.Errorf("the console says nothing of it: %q", b.faults)
	}
}

// What a run writes appears without reloading; focus and what is open stay.
func TestBrowserShowsWhatHappens(t *testing.T) {
	dir := t.TempDir()
	syn := begin(t, filepath.Join(dir, "a"), "growing", 1, time.Now().Add(-time.Minute), [3]int64{500, 0, 0})
	syn.run(5)
	s := nowServer(dir)
	look(s)
	id := s.hub.runs[0].id
	b := newBrowser(t, s)
	b.open("/runs/" + id)
	b.until(`document.getElementById("link").textContent === "up to date"`)
	eval[bool](b, `document.querySelector("#numbers-loss").open = true; window.same = 1; document.querySelector("#numbers-loss summary").focus(); true`)
	syn.run(7)
	b.until(`document.getElementById("progress").textContent.startsWith("12 of 500 steps")`)
	b.until(`document.querySelector(".chart.loss .at").textContent === "at step 12"`)
	if !eval[bool](b, `window.same === 1 && document.querySelector("#numbers-loss").open && document.activeElement === document.querySelector("#numbers-loss summary")`) {
		t.Error("the page was reloaded, or what was open or focused is not")
	}
	lm := eval[string](b, `document.querySelector(".chart.loss output").textContent`)
	if want := short(s.hub.runs[0].step.Body.(*record.Step).Losses["lm"]); !strings.HasPrefix(lm, want[:4]) {
		t.Errorf("the chart says %s, the record %s", lm, want)
	}
	// A crash: the steps that are taken again leave the curve; a fault is announced.
	syn.crash(4, "rank 3 is gone")
	b.until(`document.querySelector(".chart.loss .at").textContent === "at step 8"`)
	b.until(`document.getElementById("announce").textContent.includes("rank 3 is gone")`)
	syn.run(3)
	syn.end("complete")
	b.until(`document.querySelector("#head .state").textContent === "ended"`)
	b.until(`document.getElementById("announce").textContent.includes("growing is now ended")`)
	// Charts appear with the first steps, and with quantities that come later.
	late := begin(t, filepath.Join(dir, "late"), "late", 3, time.Now(), [3]int64{500, 0, 0})
	look(s)
	b.open("/runs/" + s.hub.runs[1].id)
	b.until(`document.getElementById("link").textContent === "up to date"`)
	eval[bool](b, `window.same = 1; !document.querySelector("figure[data-chart]")`)
	late.add(&record.Step{Tokens: 1, Losses: map[string]float64{"lm": 3}})
	b.until(`document.querySelector(".chart.loss .uplot") && !document.querySelector(".chart.parts")`)
	late.add(&record.Step{Step: 1, Tokens: 1, Losses: map[string]float64{"lm": 2, "mtp": 5}})
	b.until(`document.querySelector(".chart.parts .uplot") && document.querySelector(".chart.parts output").textContent === "5"`)
	late.add(&record.Step{Step: 2, Tokens: 1, Losses: map[string]float64{"lm": 2, "mtp": 5, "balance": 4}})
	b.until(`document.querySelector(".chart.parts .legend").textContent.includes("balance4")`)
	if !eval[bool](b, `window.same === 1`) {
		t.Error("the page was reloaded")
	}
	// The list hears of a run that appears.
	b.open("/")
	b.until(`document.getElementById("link").textContent === "up to date"`)
	eval[bool](b, `window.same = 1; [...document.querySelectorAll("#rows a")].find((a) => a.textContent === "growing").focus(); true`)
	begin(t, filepath.Join(dir, "0"), "appeared", 2, time.Now(), [3]int64{5, 0, 0}).run(1)
	b.until(`document.getElementById("rows").textContent.includes("appeared")`)
	if !eval[bool](b, `window.same === 1 && document.activeElement.textContent === "growing"`) {
		t.Error("the focus is lost")
	}
	b.clean()
}

// reach is what can take the focus by Tab, as a user sees it.
const reach = `[...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled)`

// Everything that can be used can be reached by Tab, in the order of the page.
func TestBrowserKeyboard(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	whole(t, filepath.Join(dir, "a"), "first", 1, now.Add(-2*time.Hour), [3]int64{60, 30, 10})
	whole(t, filepath.Join(dir, "b"), "second", 2, now.Add(-3*time.Hour), [3]int64{60, 30, 10})
	s := nowServer(dir)
	look(s)
	a := s.hub.runs[0].id
	b := newBrowser(t, s)
	for _, path := range []string{"/", "/runs/" + a, "/compare?run=" + a + "&run=" + s.hub.runs[1].id, "/runs/" + a + "/experts"} {
		b.open(path)
		n := eval[int64](b, `window.want = `+reach+`; window.seen = []; want.length`)
		for range n {
			b.press(kb.Tab)
			eval[bool](b, `seen.push(document.activeElement); true`)
		}
		missing := eval[string](b, `want.filter((e, i) => seen[i] !== e).map((e) => e.outerHTML.slice(0, 80)).slice(0, 5).join("\n")`)
		if missing != "" || n < 8 {
			t.Errorf("%s: of %d, out of reach or order:\n%s", path, n, missing)
		}
	}
	// The first stop leads to the content.
	b.open("/")
	b.press(kb.Tab)
	b.press(kb.Enter)
	b.until(`location.hash === "#main"`)

	// A chart is read and zoomed by keys.
	b.open("/runs/" + a)
	focus := func(sel string) { eval[bool](b, `document.querySelector("`+sel+`").focus(); true`) }
	focus(".chart.loss .canvas")
	b.press(kb.Home)
	b.until(`document.querySelector(".chart.loss [role=status]").textContent.startsWith("step 1, lm ")`)
	b.press(kb.ArrowRight)
	b.until(`document.querySelector(".chart.loss [role=status]").textContent.startsWith("step 2, lm ")`)
	b.press("+")
	b.until(`document.getElementById("to").value !== ""`)
	b.until(`document.querySelector(".chart.loss .at").textContent !== "at step 100"`)
	b.press("0")
	b.until(`document.getElementById("to").value === ""`)
	// The fields do the same.
	focus("#from")
	b.press("21")
	b.press(kb.Tab)
	b.press("40" + kb.Enter)
	b.until(`document.querySelector(".chart.grad .at").textContent === "at step 40"`)
	b.clean()
}

// The heat map says what its tables say, and the record.
func TestBrowserHeatMap(t *testing.T) {
	dir := t.TempDir()
	syn := begin(t, dir, "r", 1, time.Now().Add(-time.Minute), [3]int64{10, 0, 0})
	syn.run(10)
	counts := [][]int64{{500, 0, 700, 400}, {100, 100, 100, 100}, {1, 2, 3, 1234567}}
	syn.add(&record.Routing{From: 0, To: 10, Counts: counts})
	syn.close()
	s := nowServer(dir)
	look(s)
	id := only(t, s).id
	b := newBrowser(t, s)
	b.open("/runs/" + id)
	eval[bool](b, `document.getElementById("heat-canvas").focus(); true`)
	for r, row := range counts {
		b.press(kb.Home)
		for e, n := range row {
			b.until(fmt.Sprintf(`document.getElementById("heat-says").textContent.startsWith("Block %d, expert %d: %s tokens, ")`, r, e, count(n)))
			b.press(kb.ArrowRight)
		}
		b.press(kb.ArrowDown)
	}
	// Colours: even is even, the busiest of the last block is the hottest there is.
	colours := strings.Fields(eval[string](b, `(() => {
		const c = document.getElementById("heat-canvas"), all = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
		const at = (r, e) => { const i = 4 * (Math.floor((r + 0.5) * c.height / 3) * c.width + Math.floor((e + 0.5) * c.width / 4)); return all.slice(i, i + 4).join() };
		return [at(1, 0), at(1, 3), at(2, 3), at(0, 1)].join(" ");
	})()`))
	if len(colours) != 4 || colours[0] != colours[1] || colours[2] == colours[0] || colours[3] == colours[0] || colours[2] == colours[3] {
		t.Errorf("colours of even, even, hot, cold: %q", colours)
	}
	table := func(sel string) string {
		return eval[string](b, `[...document.querySelectorAll("`+sel+` tbody tr")].map((r) => [...r.cells].map((c) => c.textContent).join(" ")).join("; ")`)
	}
	if got, want := table("#heat"), "0 1,600 2 1.75 1 0.00 1; 1 400 0 1.00 0 1.00 0; 2 1,234,573 3 4.00 0 0.00 0"; got != want {
		t.Errorf("blocks %s, want %s", got, want)
	}
	b.open("/runs/" + id + "/experts")
	if got, want := table("#expert-table"), "0 500 0 700 400; 1 100 100 100 100; 2 1 2 3 1234567"; got != want {
		t.Errorf("experts %s, want %s", got, want)
	}
	b.clean()
}
