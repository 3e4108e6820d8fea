package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A real process answers, and at SIGTERM finishes what it writes and ends well.
func TestServeStopsInGoodOrder(t *testing.T) {
	temper := installed(t)
	for _, args := range [][]string{
		{"tokenizer", "train", "text.txt", "--out", "tok", "--vocab-size", "400"},
		{"model", "init", "tiny-v4", "base", "--tokenizer", "tok"},
	} {
		if out, err := temper(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	c := temper("serve", "base", "--addr", "127.0.0.1:0", "--speculate", "--name", "mine")
	c.Env = append(c.Env, "TEMPER_SERVE_TOKEN=open")
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill() //nolint:errcheck // if it is still there
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	q, err := http.NewRequestWithContext(context.Background(), http.MethodPost, strings.TrimSpace(url)+"/completions",
		strings.NewReader(`{"model":"mine","prompt":"the","max_tokens":300,"stream":true,"seed":1}`))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer open")
	w, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	in := bufio.NewReader(w.Body)
	if line, err := in.ReadString('\n'); err != nil || w.StatusCode != http.StatusOK {
		t.Fatal(w.Status, line, err)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(in)
	if err != nil || !strings.HasSuffix(string(rest), "data: [DONE]\n\n") {
		t.Errorf("%v: the stream ends with %q", err, rest[max(0, len(rest)-200):])
	}
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}
