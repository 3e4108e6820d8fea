package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/compute/kernel/kernelbench"
	"github.com/temper-ml/temper/data/databench"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/digest"
	"github.com/temper-ml/temper/train/checkpoint/hf"
	"github.com/temper-ml/temper/train/stepbench"
)

// machine names what a measurement was made on.
type machine struct {
	CPU     string  `json:"cpu"`
	Cores   int     `json:"cores"`
	SIMD    string  `json:"simd"`
	Threads int     `json:"threads"`
	Build   version `json:"build"`
}

func thisMachine() machine {
	m := machine{CPU: "unknown", Cores: runtime.NumCPU(), SIMD: kernel.Path(), Threads: kernel.Threads(), Build: buildVersion()}
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m
	}
	var family, model string
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(key) {
		case "model name":
			m.CPU = strings.TrimSpace(value)
		case "cpu family":
			family = strings.TrimSpace(value)
		case "model":
			model = strings.TrimSpace(value)
		}
	}
	m.CPU = fmt.Sprintf("%s (family %s model %s)", m.CPU, family, model)
	return m
}

func newBenchCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "measure this machine: kernels, whole steps, their operations, the data path, itself as a device, its links, planning",
		Long: `Measures on this machine, in one run, so that ratios mean something. Leave the
machine alone meanwhile.

With --json: one object with machine and results (name, value, unit, min,
median, n); value is the best of n.`,
	}
	cmd.AddCommand(newBenchKernelsCmd(), newBenchStepCmd(), newBenchFLOPsCmd(), newBenchDataCmd(), newBenchDeviceCmd(), newBenchLinksCmd(), newBenchPlanCmd())
	return cmd
}

// report prints results with the machine they are from.
func report(cmd *cobra.Command, asJSON bool, results []stepbench.Result) error {
	m, w := thisMachine(), cmd.OutOrStdout()
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Machine machine            `json:"machine"`
			Results []stepbench.Result `json:"results"`
		}{m, results})
	}
	fmt.Fprintf(w, "cpu: %s, %d cores\nsimd: %s, %d threads\ncommit: %s %s\n\n", m.CPU, m.Cores, m.SIMD, m.Threads, m.Build.Revision, m.Build.Go)
	name, unit := 46, 22
	for _, r := range results {
		name, unit = max(name, len(r.Name)), max(unit, len(r.Unit))
	}
	for _, r := range results {
		fmt.Fprintf(w, "%-*s %12.5g %-*s min %.5g  median %.5g  n %d\n", name, r.Name, r.Value, unit, r.Unit, r.Min, r.Median, r.N)
	}
	return nil
}

func newBenchKernelsCmd() *cobra.Command {
	var (
		asJSON, naive bool
		samples       int
	)
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "matrix products and row kernels against the machine's measured peaks",
		Args:  exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := kernelbench.Options{Samples: samples, Naive: naive}
			products, err := kernelbench.Run(o)
			if err != nil {
				return err
			}
			rows, err := kernelbench.RunRows(o, 1<<22, 512)
			if err != nil {
				return err
			}
			var out []stepbench.Result
			for _, r := range append(products, rows...) {
				out = append(out, stepbench.Result(r))
			}
			return report(cmd, asJSON, out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().BoolVar(&naive, "naive", false, "measure the plain loops too")
	cmd.Flags().IntVar(&samples, "samples", 7, "samples of each quantity")
	return cmd
}

func newBenchStepCmd() *cobra.Command {
	var (
		asJSON            bool
		recording         bool
		model, load, dump string
		method            string
		o                 stepbench.Options
		decode            decodeFlags
		rounds            grpoFlags
	)
	cmd := &cobra.Command{
		Use:   "step",
		Short: "whole optimizer steps: tokens/s, share of the peak (MFU), memory against its prediction",
		Long: `Measures whole optimizer steps, or with --method decode the generation of tokens:
tokens/s of sequences that decode together and, for one alone, the weights read a
second against the bandwidth of memory. --model, --load, --steps (samples) and the
flags marked decode count then. With --method grpo: rounds of answers that are
sampled, judged, written down and learnt, in turn and beside each other, and the
share of the cores' time in which nothing ran; --steps is the number of rounds.
With --method replay: what recording and replaying routes costs, passes over
--micro-rows rows and decoding, with and without in turns.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if load != "" {
				model = load
				o.Load = func(m *deepseek.Model) error { return loadWeights(m, load) }
			}
			if o.Model, err = hf.LoadConfig(model); err != nil {
				return usageError{err}
			}
			if dump != "" {
				o.Trace = &stepbench.Trace{}
			}
			run := stepbench.Run
			switch {
			case method == "decode":
				run = decode.run
			case method == "grpo":
				run = rounds.run
			case method == "replay":
				run = stepbench.RunReplay
			case method != "train":
				return usageError{fmt.Errorf("--method is %q, want train, decode, grpo or replay", method)}
			case recording:
				run = recordedSteps
			}
			results, err := run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if dump != "" && method == "train" {
				if err := writeTrace(dump, o.Trace); err != nil {
					return err
				}
			}
			return report(cmd, asJSON, results)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringVar(&method, "method", "train", "train: optimizer steps; decode: generation; grpo: rounds of reinforcement learning; replay: of routes")
	decode.add(cmd)
	rounds.add(cmd)
	f.StringVar(&model, "model", "bench-v4", "built-in architecture, or config.json")
	f.StringVar(&load, "load", "", "model directory whose weights to take")
	f.StringVar(&dump, "dump", "", "write the tokens, losses and gradient norm of every step to this JSON file")
	f.IntVar(&o.Rows, "rows", 4, "rows of a step")
	f.IntVar(&o.MicroRows, "micro-rows", 4, "rows in memory at once")
	f.IntVar(&o.Sequence, "sequence", 512, "tokens of a row")
	f.IntVar(&o.Steps, "steps", 9, "steps measured, after one that is not")
	f.StringVar(&o.Optimizer, "optimizer", "adamw", "adamw or muon")
	f.StringVar(&o.Recompute, "recompute", "none", "none, selective or full")
	f.IntVar(&o.Digest, "digest", 0, fmt.Sprintf("take digests that cover one block in so many a step, such as %d; 0 takes none", digest.DefaultPeriod))
	f.BoolVar(&recording, "record", false, "put every step on record, as run does, in a temporary directory")
	return cmd
}

// writeTrace writes what the steps were, for programs that compute the same.
func writeTrace(path string, t *stepbench.Trace) error {
	text, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return durable.WriteFile(durable.OS, path, text)
}

// loadWeights fills a model from a directory.
func loadWeights(m *deepseek.Model, dir string) error {
	src, err := hf.Open(dir)
	if err != nil {
		return err
	}
	defer src.Close()
	return src.Load(func(t *arch.Tensor) ([]float32, error) { return m.Param(t.Name).Data, nil })
}

func newBenchDataCmd() *cobra.Command {
	var (
		asJSON bool
		tok    string
		o      databench.Options
	)
	cmd := &cobra.Command{
		Use:   "data [FILE]",
		Short: "rows a second from a file to packed rows: parse, render, tokenise, mask, pack",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Path = args[0]
			}
			if tok != "" {
				t, err := loadTokenizer(tok)
				if err != nil {
					return usageError{err}
				}
				o.Tokenizer = t
			}
			results, err := databench.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			var out []stepbench.Result
			for _, r := range results {
				out = append(out, stepbench.Result(r))
			}
			return report(cmd, asJSON, out)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringVar(&tok, "tokenizer", "", "tokenizer.json (default: bytes as tokens)")
	f.StringToStringVar(&o.Mapping, "map", nil, "rename fields: --map prompt=question,response=answer")
	f.IntVar(&o.SeqLen, "sequence", 4096, "tokens of a packed row")
	f.IntVar(&o.Passes, "passes", 7, "passes over the file")
	return cmd
}
