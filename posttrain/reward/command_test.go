package reward_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/temper-ml/temper/posttrain/reward"
)

func command(script string, seconds float64) reward.Spec {
	return reward.Spec{Command: &reward.Command{Args: []string{"/bin/sh", "-c", script}, Seconds: seconds, Memory: 64}}
}

func TestCommand(t *testing.T) {
	for _, c := range []struct {
		script  string
		seconds float64
		value   float64
		reason  string
		err     string
	}{
		{script: "cat >/dev/null; echo 0.5", value: 0.5},
		{script: `cat >/dev/null; echo '{"reward": -1, "reason": "bad"}'`, value: -1, reason: "bad"},
		{script: `grep -q '"completion":"hello"' && echo 1`, value: 1},
		{script: "echo 1", value: 1}, // it need not read its input
		{script: "echo NaN", err: "NaN is no number"},
		{script: "echo maybe", err: "want a number"},
		{script: "true", err: "want a number"},
		{script: "echo no >&2; exit 3", err: "exit status 3: no"},
		{script: "kill -SEGV $$", err: "segmentation fault"},
		{script: "sleep 60", seconds: 0.2, err: "no answer in 200ms"},
		{script: "trap '' TERM INT; while :; do :; done", seconds: 0.2, err: "no answer in 200ms"},
		{script: "yes", seconds: 0.5, err: "no answer in 500ms"},
		{script: "head -c 1000000 /dev/zero | tr '\\0' 1", err: "printed more than"},
		{script: "exec tail /dev/zero", seconds: 20, err: "tail"}, // needs all the memory there is
	} {
		p := judge(t, command(c.script, c.seconds), reward.Sample{Completion: "hello"})
		if p.Value != c.value || p.Reason != c.reason || !strings.Contains(p.Error, c.err) || (p.Error == "") != (c.err == "") {
			t.Errorf("%q: %+v, want %v %q %q", c.script, p, c.value, c.reason, c.err)
		}
	}
}

// TestCommandChildren: what a command leaves running is killed with it.
func TestCommandChildren(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "alive")
	p := judge(t, command("(sleep 1; touch "+mark+") >/dev/null 2>&1 & echo 1", 5), reward.Sample{})
	if p.Value != 1 {
		t.Fatalf("%+v", p)
	}
	time.Sleep(1500 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Error("a child lived on")
	}
}

func TestCommandCancelled(t *testing.T) {
	j, err := reward.New([]reward.Spec{command("sleep 60", 60)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v := j.Judge(ctx, make([]reward.Sample, 3)); !v[0].Failed || !v[2].Failed {
		t.Errorf("%+v", v)
	}
}
