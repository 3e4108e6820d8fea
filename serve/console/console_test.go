package console_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/data/source"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve/answer/answertest"
	"github.com/temper-ml/temper/serve/console"
)

var long = strings.NewReplacer("[eos]", "<｜end▁of▁sentence｜>")

// talked is what a conversation wrote.
type talked struct{ out, notes bytes.Buffer }

// talk has a conversation: what the model is asked, and what it wrote.
func talk(t *testing.T, e *answertest.Script, o console.Options, lines ...string) (talked, []string) {
	t.Helper()
	var w talked
	o.Out, o.Notes, o.Now = &w.out, &w.notes, func() time.Time { return time.Unix(0, 0) }
	m := answertest.Model(t, e, "deepseek-v4")
	if err := console.New(m, o).Run(context.Background(), strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, q := range e.Requests() {
		asked = append(asked, m.Text(q.Prompt))
	}
	return w, asked
}

func TestConversation(t *testing.T) {
	e := answertest.Says(long.Replace("yes é[eos]"))
	w, asked := talk(t, e, console.Options{System: "s", Sampling: generate.Sampling{Seed: 4}}, "hi\\", "you", "", "//slash", "/system", "/temp 0.5", "/seed 9", "/retry", "/reset", "fresh")
	if w.out.String() != "yes é\nyes é\nyes é\nyes é\n" {
		t.Errorf("answers %q", w.out.String())
	}
	want := []string{
		"<｜begin▁of▁sentence｜>s<｜User｜>hi\nyou<｜Assistant｜></think>",
		"<｜begin▁of▁sentence｜>s<｜User｜>hi\nyou<｜Assistant｜></think>yes é<｜end▁of▁sentence｜><｜User｜>/slash<｜Assistant｜></think>",
		"<｜begin▁of▁sentence｜><｜User｜>hi\nyou<｜Assistant｜></think>yes é<｜end▁of▁sentence｜><｜User｜>/slash<｜Assistant｜></think>",
		"<｜begin▁of▁sentence｜><｜User｜>fresh<｜Assistant｜></think>",
	}
	for i := range want {
		if i >= len(asked) || asked[i] != want[i] {
			t.Errorf("asked %q, want %q", asked, want)
			break
		}
	}
	q := e.Requests()
	if q[0].Seed != 4 || q[2].Seed != 9 || q[2].Sample != 1 || q[2].Temperature != 0.5 || q[3].Sample != 0 {
		t.Errorf("%+v", q)
	}
}

func TestThinkingIsApart(t *testing.T) {
	e := answertest.Says(long.Replace("so\x1b[31m</think>yes\x1b[2J[eos]"))
	w, asked := talk(t, e, console.Options{Terminal: true}, "/think max", "hi")
	if !strings.Contains(asked[0], "Absolute maximum") || !strings.HasSuffix(asked[0], "<think>") {
		t.Errorf("asked %q", asked)
	}
	if w.out.String() != "yes␛[2J\n" || !strings.Contains(w.notes.String(), "\x1b[2ms\x1b[0m\x1b[2mo\x1b[0m") || strings.Contains(w.notes.String(), "\x1b[31m") {
		t.Errorf("answers %q, notes %q", w.out.String(), w.notes.String())
	}
}

func TestCommandsThatAreWrong(t *testing.T) {
	e := answertest.Says("x")
	w, asked := talk(t, e, console.Options{}, "/nope", "/temp hot", "/temp 1e9", "/seed -1", "/think hard", "/save", "/retry", "/help", "/exit", "never")
	for _, want := range []string{"no command /nope", `/temp is "hot"`, `/temp is "1e9"`, `/seed is "-1"`, `/think is "hard", want on, none`, "/save needs a file", "there is no answer yet", "/reset "} {
		if !strings.Contains(w.notes.String(), want) {
			t.Errorf("the notes lack %q: %q", want, w.notes.String())
		}
	}
	if len(asked) != 0 || w.out.Len() != 0 {
		t.Errorf("asked %q, answers %q", asked, w.out.String())
	}
}

// What is saved can be trained on.
func TestSave(t *testing.T) {
	e := answertest.Says(long.Replace("so</think>yes[eos]"))
	saved := map[string]string{}
	o := console.Options{System: "s", Thinking: true, Save: func(name string, b []byte) error {
		saved[name] = string(b)
		if name == "full" {
			return errors.New("no space left")
		}
		return nil
	}}
	w, _ := talk(t, e, o, "hi <b>", "/save a", "/save full")
	if want := `{"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi <b>"},{"role":"assistant","content":"yes","reasoning_content":"so"}],"thinking_mode":"thinking"}` + "\n"; saved["a"] != want {
		t.Errorf("saved %q", saved["a"])
	}
	if !strings.Contains(w.notes.String(), "not saved: no space left") {
		t.Errorf("notes %q", w.notes.String())
	}
	f, err := source.NewFile("a.jsonl", strings.NewReader(saved["a"]), source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := f.Decoder().Decode(l); err != nil || len(rows) != 1 {
		t.Errorf("%v %v", rows, err)
	}
}

// An interrupt stops the answer: what there is of it stays in the conversation.
func TestInterrupt(t *testing.T) {
	e := answertest.Says("the the the the")
	e.Hold = make(chan struct{})
	stop := make(chan struct{}, 1)
	in, type_ := io.Pipe()
	var w talked
	m := answertest.Model(t, e, "deepseek-v4")
	done := make(chan error)
	go func() {
		o := console.Options{Out: &w.out, Notes: &w.notes, Now: time.Now, Interrupts: stop}
		done <- console.New(m, o).Run(context.Background(), in)
	}()
	_, _ = io.WriteString(type_, "hi\n")
	e.Hold <- struct{}{}
	e.Hold <- struct{}{} // the first token was shown
	stop <- struct{}{}
	for e.Cancelled() == 0 {
		time.Sleep(time.Millisecond)
	}
	e.Hold = nil
	_, _ = io.WriteString(type_, "on\n")
	type_.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if asked := m.Text(e.Requests()[1].Prompt); !strings.HasPrefix(asked, "<｜begin▁of▁sentence｜><｜User｜>hi<｜Assistant｜></think>the") || !strings.HasSuffix(asked, "<｜User｜>on<｜Assistant｜></think>") {
		t.Errorf("asked %q", asked)
	}
	if !strings.Contains(w.notes.String(), "stopped") {
		t.Errorf("notes %q", w.notes.String())
	}
}

// What cannot be answered is told, and taken back.
func TestFailures(t *testing.T) {
	e := answertest.Says("x")
	e.Fail = errors.New("layer 3 is not finite")
	w, asked := talk(t, e, console.Options{}, "hi", strings.Repeat("é", answertest.Context), "ho")
	if notes := w.notes.String(); strings.Count(notes, "layer 3") != 2 || !strings.Contains(notes, "/reset begins a new one") {
		t.Errorf("notes %q", notes)
	}
	if len(asked) != 2 || strings.Contains(asked[1], ">hi<") {
		t.Errorf("asked %q", asked)
	}
	e = answertest.Says("thethe")
	w, _ = talk(t, e, console.Options{MaxTokens: 1}, "hi")
	if !strings.Contains(w.notes.String(), "is cut, after 1 tokens") {
		t.Errorf("notes %q", w.notes.String())
	}
}
