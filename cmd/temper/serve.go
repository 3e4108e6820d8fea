package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/data/chat"
	"github.com/temper-ml/temper/internal/httpguard"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/model/generate"
	"github.com/temper-ml/temper/serve"
	"github.com/temper-ml/temper/serve/answer"
	"github.com/temper-ml/temper/train/checkpoint/hf"
)

// engineFlags say which model answers, and with how much memory.
type engineFlags struct {
	encoding, cache string
	threads         int
	forget          bool
	o               generate.Options
}

func (f *engineFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.encoding, "encoding", "deepseek-v4", "chat encoding: "+strings.Join(chat.Names(), ", "))
	fl.IntVar(&f.o.Context, "context", 0, "most tokens of a conversation with its answer (default the model's)")
	fl.StringVar(&f.cache, "cache", "", "memory of the caches of sequences: a number with KB, MB, GB or TB (default room for all)")
	fl.BoolVar(&f.o.Speculate, "speculate", false, "guess a token ahead with the model's mtp block: the same answers in fewer passes")
	fl.BoolVar(&f.o.Latent, "latent", false, "keep V3's latent vectors only: less memory, more time")
	fl.BoolVar(&f.forget, "forget", false, "keep nothing of ended requests in the cache for those to come that begin alike")
	fl.IntVar(&f.threads, "threads", 0, "threads to compute on (default TEMPER_THREADS, else all)")
}

// loaded is a model that can answer.
type loaded struct {
	*answer.Model
	engine      *generate.Engine
	dir         string
	fingerprint string
}

// load opens a model directory, or a run's. begin, unless nil, is called when all
// but the weights is known to be good.
func (f *engineFlags) load(dir string, begin func() error) (*loaded, error) {
	dir, err := modelDir(dir)
	if err != nil {
		return nil, usageError{err}
	}
	cfg, err := hf.LoadConfig(dir)
	if err != nil {
		return nil, usageError{err}
	}
	enc, err := chat.Lookup(f.encoding)
	if err != nil {
		return nil, usageError{fmt.Errorf("--encoding: %w", err)}
	}
	tok, err := loadTokenizer(dir)
	if err != nil {
		return nil, usageError{err}
	}
	if f.threads < 0 || f.threads > 1024 {
		return nil, usageError{fmt.Errorf("--threads is %d, want 1 to 1024", f.threads)}
	}
	if f.threads > 0 {
		kernel.SetThreads(f.threads)
	}
	if f.cache != "" {
		if f.o.CacheBytes, err = parseSize(f.cache); err != nil {
			return nil, usageError{fmt.Errorf("--cache: %w", err)}
		}
	}
	m, err := deepseek.NewFrozen(cfg)
	if err != nil {
		return nil, err
	}
	f.o.Keep = !f.forget
	e, err := generate.New(m, f.o)
	if err != nil {
		return nil, usageError{err}
	}
	l := &loaded{engine: e, dir: dir}
	if l.Model, err = answer.New(answer.EngineOf(e), cfg, tok, enc); err != nil {
		return nil, usageError{err}
	}
	if begin != nil {
		if err := begin(); err != nil {
			return nil, err
		}
	}
	if err := loadWeights(m, dir); err != nil {
		return nil, err
	}
	l.fingerprint = serve.Fingerprint(m, tok, enc)
	return l, nil
}

// serveFlags say who is served.
type serveFlags struct {
	engineFlags
	addr, tokenFile, maxBody string
	o                        serve.Options
}

func newServeCmd() *cobra.Command {
	f := serveFlags{addr: "127.0.0.1:8080"}
	cmd := &cobra.Command{
		Use:   "serve MODEL",
		Short: "answer over HTTP as OpenAI's API does: chat, completions, streams, tools, log-probabilities",
		Long: `Loads a Hugging Face model directory, or the model of a run directory, and
answers over HTTP: POST /v1/chat/completions, POST /v1/completions,
GET /v1/models, and /health and /metrics beside them.

An answer is a function of the model, the request and its seed, whatever else is
asked at the time; a seed that is not given is drawn and told in the answer.

By default only this machine is served. With a token, from --token-file or the
environment variable TEMPER_SERVE_TOKEN, requests must bring it; without one, any
other address is open to whoever can connect. There is no encryption: put a proxy
before it. Ctrl-C or SIGTERM refuses new requests and lets running ones finish for
--grace; a second one does not wait.`,
		Example: `  temper serve runs/mine --addr 127.0.0.1:8080
  curl localhost:8080/v1/chat/completions -H 'Content-Type: application/json' \
    -d '{"messages": [{"role": "user", "content": "How many kg are 148000 g?"}], "seed": 7}'`,
		Args: exactArgs(1, "a model or run directory"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	fl := cmd.Flags()
	f.register(fl)
	fl.StringVar(&f.addr, "addr", f.addr, "address to serve at; port 0 takes a free one")
	fl.StringArrayVar(&f.o.Hosts, "host", nil, "another name that the server is called by, if there is no token (repeatable)")
	fl.StringVar(&f.tokenFile, "token-file", "", "file with the token that requests must bring (default TEMPER_SERVE_TOKEN)")
	fl.StringArrayVar(&f.o.Names, "name", nil, "what the model is called; the first is told (repeatable; default the directory's name)")
	fl.BoolVar(&f.o.Thinking, "thinking", false, "think before answers, unless the request says otherwise")
	fl.IntVar(&f.engineFlags.o.Sequences, "sequences", 16, "answers that are written at a time")
	fl.IntVar(&f.engineFlags.o.Queue, "queue", 256, "answers that wait; beyond, requests get 429")
	fl.IntVar(&f.engineFlags.o.StepTokens, "step-tokens", 0, "most tokens of a pass (default 512 more than sequences add)")
	fl.IntVar(&f.o.MaxChoices, "max-choices", 32, "most answers of a request")
	fl.StringVar(&f.maxBody, "max-body", "", "largest request (default 1MB and 16 bytes for each token of the context)")
	fl.DurationVar(&f.o.Grace, "grace", 30*time.Second, "how long running answers have when the server is stopped")
	fl.BoolVar(&f.o.Access, "access-log", false, "log every request: who, how many tokens, how long; never what")
	return cmd
}

// complete turns flags into options.
func (f *serveFlags) complete() error {
	f.o.Token = os.Getenv("TEMPER_SERVE_TOKEN")
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return err
		}
		if f.o.Token = strings.TrimSpace(string(b)); f.o.Token == "" {
			return fmt.Errorf("--token-file %s is empty", f.tokenFile)
		}
	}
	if strings.ContainsAny(f.o.Token, " \t\r\n") {
		return fmt.Errorf("the token has white space in it")
	}
	if f.o.Grace <= 0 {
		f.o.Grace = -1
	}
	if f.maxBody != "" {
		var err error
		if f.o.MaxBody, err = parseSize(f.maxBody); err != nil {
			return fmt.Errorf("--max-body: %w", err)
		}
	}
	return nil
}

func (f *serveFlags) run(cmd *cobra.Command, dir string) error {
	if err := f.complete(); err != nil {
		return usageError{err}
	}
	public, err := httpguard.Address(f.addr)
	if err != nil {
		return usageError{err}
	}
	if host, _, _ := net.SplitHostPort(f.addr); host != "" && net.ParseIP(host) == nil {
		f.o.Hosts = append(f.o.Hosts, host)
	}
	l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", f.addr)
	if err != nil {
		return usageError{fmt.Errorf("%w: give another address", err)}
	}
	defer l.Close()
	f.o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
	m, err := f.load(dir, func() error {
		f.o.Log.Info("loading", "model", dir)
		return nil
	})
	if err != nil {
		return err
	}
	if len(f.o.Names) == 0 {
		if f.o.Names, err = nameOf(dir); err != nil {
			return err
		}
	}
	f.o.Fingerprint = m.fingerprint
	s, err := serve.New(m.Model, f.o)
	if err != nil {
		return usageError{err}
	}
	if public && f.o.Token == "" {
		f.o.Log.Warn("open to the network: whoever reaches it is answered, without token or encryption", "addr", f.addr)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "http://%s/v1\n", shown(l))
	defer hurryAfter(s.Hurry)()
	if err := s.Run(cmd.Context(), l, m.engine.Serve); err != nil {
		return err
	}
	return m.engine.Close()
}

// nameOf is what a model is called after its directory.
func nameOf(dir string) ([]string, error) {
	path, err := filepath.Abs(dir)
	return []string{filepath.Base(path)}, err
}

// hurryAfter calls hurry at the second signal that asks to stop.
func hurryAfter(hurry func()) (stop func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for range 2 {
			select {
			case <-signals:
			case <-done:
				return
			}
		}
		hurry()
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}
