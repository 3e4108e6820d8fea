package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/serve"
	"github.com/temper-ml/temper/serve/answer"
	"github.com/temper-ml/temper/serve/console"
)

// chatFlags say how answers in the terminal are written.
type chatFlags struct {
	engineFlags
	o            console.Options
	think, asked string
	seed         uint64
}

func newChatCmd() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat MODEL",
		Short: "talk to a model in the terminal",
		Long: `Loads a Hugging Face model directory, or the model of a run directory, and
answers what is typed, line by line, while it writes. What it thinks is dim.

` + console.Help + `

Ctrl-C stops the answer, not the program. Through a pipe every line of standard
input is a message or a command, answers go to standard output and everything else
to standard error; --prompt asks one thing and ends.`,
		Example: `  temper chat runs/mine
  temper chat runs/mine --prompt "How many kg are 148000 g?" --temperature 0
  temper chat runs/mine --prompt - <question.txt`,
		Args: exactArgs(1, "a model or run directory"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fl := cmd.Flags()
	f.register(fl)
	s := &f.o.Sampling
	fl.StringVar(&f.o.System, "system", "", "what the model is told before everything")
	fl.StringVar(&f.think, "think", "none", "how hard it thinks: "+strings.Join(answer.Efforts, ", "))
	fl.Float32Var(&s.Temperature, "temperature", 1, "of answers; 0 takes the most likely token")
	fl.Float32Var(&s.TopP, "top-p", 0, "keep the most likely tokens that have this share")
	fl.IntVar(&s.TopK, "top-k", 0, "keep so many of the most likely tokens")
	fl.Uint64Var(&f.seed, "seed", 0, "same seed, same lines, same answers (default random; /seed tells it)")
	fl.IntVar(&f.o.MaxTokens, "max-tokens", 0, "most tokens of an answer (default what is left of the context)")
	fl.StringVar(&f.asked, "prompt", "", "ask this, or with - what standard input holds, and end")
	return cmd
}

func (f *chatFlags) run(cmd *cobra.Command, dir string) error {
	f.engineFlags.o.Sequences = 1
	if err := f.o.Sampling.Check(); err != nil {
		return usageError{err}
	}
	if f.o.MaxTokens < 0 {
		return usageError{fmt.Errorf("--max-tokens is %d, want at least 1", f.o.MaxTokens)}
	}
	f.o.Sampling.Seed = f.seed
	if !cmd.Flags().Changed("seed") {
		f.o.Sampling.Seed = serve.RandomSeed()
	}
	m, err := f.load(dir, nil)
	if err != nil {
		return err
	}
	var known bool
	if f.o.Effort, known = m.Effort(f.think); !known {
		return usageError{fmt.Errorf("--think is %q, want %s", f.think, strings.Join(answer.Efforts, ", "))}
	}
	f.o.Thinking = f.think != "none"
	f.o.Out, f.o.Notes, f.o.Now = cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now
	f.o.Save = func(name string, b []byte) error { return durable.WriteFile(durable.OS, name, b) }
	in, out := isFileTerminal(cmd.InOrStdin()), isFileTerminal(f.o.Out)
	f.o.Terminal = in && out && f.asked == ""
	return f.talk(cmd, m)
}

// isFileTerminal says whether somebody sits at a stream.
func isFileTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isTerminal(file)
}

// talk lets the engine run while there is a conversation. Ctrl-C is its own.
func (f *chatFlags) talk(cmd *cobra.Command, m *loaded) error {
	ctx, stop := signal.NotifyContext(context.WithoutCancel(cmd.Context()), syscall.SIGTERM)
	defer stop()
	f.o.Interrupts = interrupts(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	worked := make(chan struct{})
	go func() {
		defer close(worked)
		cancel(m.engine.Serve(ctx))
	}()
	err := f.converse(ctx, cmd, console.New(m.Model, f.o))
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause // the engine's
	}
	cancel(nil)
	<-worked
	if closing := m.engine.Close(); err == nil {
		err = closing
	}
	return err
}

// interrupts tells of Ctrl-C, at most once until that is heard.
func interrupts(ctx context.Context) <-chan struct{} {
	signals, told := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGINT)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-signals:
			case <-ctx.Done():
				return
			}
			select {
			case told <- struct{}{}:
			default:
			}
		}
	}()
	return told
}

func (f *chatFlags) converse(ctx context.Context, cmd *cobra.Command, c *console.Console) error {
	if f.asked == "" {
		return c.Run(ctx, cmd.InOrStdin())
	}
	if f.asked == "-" {
		b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 64<<20))
		if err != nil {
			return err
		}
		f.asked = strings.TrimSpace(string(b))
	}
	if !c.Ask(ctx, f.asked) {
		return errVerdict // said already
	}
	return nil
}
