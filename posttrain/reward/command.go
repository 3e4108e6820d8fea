package reward

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Command asks a program. It gets the sample as one JSON object on standard
// input (prompt, completion, tokens, truncated, fields) and answers on standard
// output with a number, or an object {"reward": 0.5, "reason": "..."}. It must
// be a function of its input; verification by replay runs it again.
type Command struct {
	// Args are the program and its arguments; no shell reads them.
	Args []string `yaml:"args" json:"args"`
	// Seconds is how long a sample may take, 10 if left out.
	Seconds float64 `yaml:"seconds,omitempty" json:"seconds,omitempty"`
	// Memory is the address space in MiB that it may use, 1024 if left out.
	Memory int64 `yaml:"memory,omitempty" json:"memory,omitempty"`
}

// maxReply bounds what a command may print, in bytes.
const maxReply = 64 << 10

func (c *Command) build() (Rule, error) {
	d := *c
	if d.Seconds == 0 {
		d.Seconds = 10
	}
	if d.Memory == 0 {
		d.Memory = 1024
	}
	switch {
	case len(d.Args) == 0 || d.Args[0] == "":
		return nil, errors.New("args: no program")
	case !(d.Seconds > 0 && d.Seconds <= 3600):
		return nil, fmt.Errorf("seconds: %v, want above 0 to 3600", d.Seconds)
	case d.Memory < 16 || d.Memory > 1<<20:
		return nil, fmt.Errorf("memory: %d MiB, want 16 to %d", d.Memory, 1<<20)
	}
	if _, err := exec.LookPath(d.Args[0]); err != nil {
		return nil, fmt.Errorf("args: %w", err)
	}
	return &d, nil
}

// Judge runs the command, and kills it with all its children when its time is over.
func (c *Command) Judge(ctx context.Context, s *Sample) (Score, error) {
	input, err := json.Marshal(s)
	if err != nil {
		return Score{}, err
	}
	limit := time.Duration(c.Seconds * float64(time.Second))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// The shell only lowers the limit and becomes the program.
	args := append([]string{"-c", `ulimit -v "$0" && exec "$@"`, strconv.FormatInt(c.Memory<<10, 10)}, c.Args...)
	cmd := exec.CommandContext(ctx, "/bin/sh", args...)
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
	out, complaint := &bounded{max: maxReply}, &bounded{max: 4 << 10}
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	cmd.WaitDelay = time.Second // for children that hold the pipes
	kill := isolate(cmd)
	err = cmd.Run()
	kill() // children that it left behind
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return Score{}, fmt.Errorf("%s: no answer in %v", c.Args[0], limit)
	case ctx.Err() != nil:
		return Score{}, ctx.Err()
	case err != nil:
		return Score{}, fmt.Errorf("%s: %w: %.200s", c.Args[0], err, strings.TrimSpace(complaint.kept.String()))
	case out.over:
		return Score{}, fmt.Errorf("%s: it printed more than %d bytes", c.Args[0], maxReply)
	}
	score, err := reply(out.kept.Bytes())
	if err != nil {
		return Score{}, fmt.Errorf("%s: %w", c.Args[0], err)
	}
	return score, nil
}

// reply reads what a command printed.
func reply(out []byte) (Score, error) {
	out = bytes.TrimSpace(out)
	if v, err := strconv.ParseFloat(string(out), 64); err == nil {
		return Score{Value: v}, nil
	}
	var r struct {
		Reward *float64 `json:"reward"`
		Reason string   `json:"reason"`
	}
	if json.Unmarshal(out, &r) != nil || r.Reward == nil {
		return Score{}, fmt.Errorf("it printed %.80q, want a number or {\"reward\": number}", out)
	}
	return Score{*r.Reward, r.Reason}, nil
}

// bounded keeps the first max bytes of what is written. The buffer is not
// embedded: its ReadFrom would take everything.
type bounded struct {
	kept bytes.Buffer
	max  int
	over bool
}

// Write takes p and keeps what there is room for.
func (b *bounded) Write(p []byte) (int, error) {
	keep := p
	if room := b.max - b.kept.Len(); len(p) > room {
		b.over = true
		keep = p[:room]
	}
	b.kept.Write(keep)
	return len(p), nil
}
