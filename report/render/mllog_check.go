package render

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// precisions are the number formats the rules know.
var precisions = []string{
	"fp64", "fp32", "tf32", "fp16", "fp8", "mxfp6", "nvfp4", "mxfp4", "bfloat16",
	"Graphcore FLOAT 16.16", "int8", "uint8", "int4", "uint4",
}

// benchmarks are those of the 6.1 round.
var benchmarks = []string{"flux1", "llama31_8b", "llama2_70b_lora", "gpt_oss_20b", "deepseekv3_671b", "qwen35_397b_grpo", "dlrmv4"}

// initMinutes is the longest time from init_start to init_stop.
var initMinutes = map[string]float64{"closed": 30, "open": 240}

// lineKeys is the order of the keys of a line.
var lineKeys = []string{"namespace", "time_ms", "event_type", "key", "value", "metadata"}

// checker holds what the rules need to know across lines.
type checker struct {
	counts                             map[string]int
	division, benchmark                string
	firstInit, initStop, last          float64
	initStarted, initStopped           bool
	runStarted, runStopped             bool
	inBlock, inEpoch, inEval, accuracy bool
}

// mlline is a line as read.
type mlline struct {
	Namespace string
	Time      float64
	Event     string
	Key       string
	Value     any
	Metadata  map[string]any
}

// CheckMLLOG checks a log against the rules of MLPerf training 6.1 that hold for
// every benchmark: the form of lines, how often keys occur, their values, and the
// order of initialisation, run, blocks, epochs and evaluations. What single
// benchmarks ask of their settings is not checked. Lines without the marker are
// passed over, as logs are mixed with other output. All faults are returned.
func CheckMLLOG(r io.Reader) error {
	c := &checker{counts: map[string]int{}}
	var faults []error
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		_, text, ok := strings.Cut(lines.Text(), ":::MLLOG ")
		if !ok {
			continue
		}
		l, err := parseLine(text)
		if err == nil {
			err = c.line(l)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("mlperf log: %w", err)
	}
	return errors.Join(append(faults, c.end()...)...)
}

// parseLine reads the JSON of a line: exactly the six keys, in order.
func parseLine(text string) (*mlline, error) {
	for i := range len(text) {
		if text[i] > 0x7e {
			return nil, fmt.Errorf("byte %d is not ASCII: escape it", i)
		}
	}
	d := json.NewDecoder(strings.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object after :::MLLOG")
	}
	var l mlline
	for _, want := range lineKeys {
		t, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("want key %q: %w", want, err)
		}
		if t != want {
			return nil, fmt.Errorf("key %v where %q belongs: the order is %s", t, want, strings.Join(lineKeys, ", "))
		}
		var to any
		switch want {
		case "namespace":
			to = &l.Namespace
		case "time_ms":
			to = &l.Time
		case "event_type":
			to = &l.Event
		case "key":
			to = &l.Key
		case "value":
			to = &l.Value
		case "metadata":
			to = &l.Metadata
		}
		if err := d.Decode(to); err != nil {
			return nil, fmt.Errorf("%s: %w", want, err)
		}
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, fmt.Errorf("after metadata: %v, want the end of the object", t)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("text after the object")
	}
	return &l, nil
}

func (c *checker) line(l *mlline) error {
	var faults []error
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s", l.Key, fmt.Sprintf(format, args...)))
		}
	}
	c.counts[l.Key]++
	want(l.Namespace == "", "namespace %q must be empty", l.Namespace)
	want(l.Time == math.Trunc(l.Time) && l.Time > 0, "time_ms %v must be whole and positive", l.Time)
	want(l.Time >= c.last, "time_ms %v is before the line above it, %v", l.Time, c.last)
	c.last = max(c.last, l.Time)
	event := pointInTime
	if strings.HasSuffix(l.Key, "_start") {
		event = intervalStart
	} else if strings.HasSuffix(l.Key, "_stop") {
		event = intervalEnd
	}
	want(l.Event == event, "event_type %q must be %s", l.Event, event)
	_, file := l.Metadata["file"].(string)
	_, number := l.Metadata["lineno"].(float64)
	want(file && number, "metadata must hold file and lineno")
	want(!c.runStopped, "comes after run_stop")
	c.value(l, want)
	c.order(l, want)
	return errors.Join(faults...)
}

// value checks what a key may hold.
func (c *checker) value(l *mlline, want func(bool, string, ...any)) {
	text, _ := l.Value.(string)
	number, isNumber := l.Value.(float64)
	switch l.Key {
	case "submission_org", "submission_platform":
		want(text != "", "must not be empty")
	case "submission_division":
		c.division = text
		want(text == "closed" || text == "open", "%q must be closed or open", text)
	case "submission_benchmark":
		c.benchmark = text
	case "train_samples", "eval_samples", "gradient_accumulation_steps":
		want(isNumber && number > 0, "%v must be a positive number", l.Value)
	case "lowest_numerical_precision_in_linear", "lowest_numerical_precision_in_attn", "lowest_numerical_precision_in_comm":
		want(slices.Contains(precisions, text), "%q must be one of %s", text, strings.Join(precisions, ", "))
	case "tensor_parallelism", "pipeline_parallelism", "context_parallelism", "expert_parallelism", "micro_batch_size":
		want(isNumber && number == math.Trunc(number) && number >= 1, "%v must be a whole number from 1", l.Value)
	case "config_filename":
		want(text != "", "must not be empty")
	case "eval_accuracy":
		want(isNumber, "%v must be a number", l.Value)
	}
}

// order checks that intervals nest: init, run, blocks or epochs, evaluations.
func (c *checker) order(l *mlline, want func(bool, string, ...any)) {
	counted := func(key string) {
		n, samples := l.Metadata["samples_count"].(float64)
		_, other := l.Metadata[key]
		want(samples && n >= 0 || other, "metadata must hold samples_count (from 0) or %s", key)
		want(c.runStarted, "comes before run_start")
	}
	switch l.Key {
	case "init_start":
		want(!c.initStopped && !c.runStarted, "comes after init_stop or run_start")
		if !c.initStarted {
			c.firstInit, c.initStarted = l.Time, true
		}
	case "init_stop":
		want(c.initStarted && !c.runStarted, "must come between init_start and run_start")
		c.initStop, c.initStopped = l.Time, true
	case "run_start":
		want(c.initStopped, "comes before init_stop")
		c.runStarted = true
	case "run_stop":
		status, ok := l.Metadata["status"].(string)
		want(ok && (status == "success" || status == "aborted"), "metadata.status %q must be success or aborted", status)
		want(c.runStarted && !c.inBlock && !c.inEval, "a run must have started and its blocks and evaluations be closed")
		c.runStopped = true
	case "block_start":
		counted("epoch_count")
		want(!c.inBlock, "the block before it is still open")
		if n, ok := l.Metadata["epoch_count"].(float64); ok {
			_, first := l.Metadata["first_epoch_num"]
			want(n > 0 && first, "epoch_count %v must be positive and come with first_epoch_num", n)
		}
		c.inBlock = true
	case "block_stop":
		counted("first_epoch_num")
		want(c.inBlock && !c.inEval, "no block is open, or an evaluation in it is")
		c.inBlock = false
	case "epoch_start":
		counted("epoch_num")
		want(!c.inEpoch, "the epoch before it is still open")
		c.inEpoch = true
	case "epoch_stop":
		counted("epoch_num")
		want(c.inEpoch, "no epoch is open")
		c.inEpoch = false
	case "eval_start":
		counted("epoch_num")
		want(!c.inEval, "the evaluation before it is still open")
		c.inEval, c.accuracy = true, false
	case "eval_accuracy":
		counted("epoch_num")
		c.accuracy = true
	case "eval_stop":
		counted("epoch_num")
		want(c.inEval && c.accuracy, "no evaluation is open, or it gave no eval_accuracy")
		c.inEval = false
	}
}

// end checks what can be known after the last line only.
func (c *checker) end() []error {
	var faults []error
	for _, key := range []string{
		"submission_org", "submission_platform", "submission_division", "submission_benchmark",
		"init_stop", "run_start", "run_stop", "train_samples", "eval_samples",
		"lowest_numerical_precision_in_linear", "lowest_numerical_precision_in_attn", "lowest_numerical_precision_in_comm",
		"tensor_parallelism", "pipeline_parallelism", "context_parallelism", "expert_parallelism", "micro_batch_size", "config_filename",
	} {
		if c.counts[key] != 1 {
			faults = append(faults, fmt.Errorf("%s: %d lines, must be exactly one", key, c.counts[key]))
		}
	}
	if n := c.counts["gradient_accumulation_steps"]; n != 1 && (c.division == "closed" || n > 1) {
		faults = append(faults, fmt.Errorf("gradient_accumulation_steps: %d lines, must be exactly one", n))
	}
	for _, keys := range [][]string{
		{"cache_clear"},
		{"init_start"},
		{"eval_accuracy"},
		{"seed"},
		{"block_start", "epoch_start"},
		{"block_stop", "epoch_stop"},
		{"eval_start", "block_start"},
		{"eval_stop", "block_stop"},
	} {
		if !slices.ContainsFunc(keys, func(k string) bool { return c.counts[k] > 0 }) {
			faults = append(faults, fmt.Errorf("%s: no line, must be at least one", strings.Join(keys, " or ")))
		}
	}
	if c.benchmark != "" && !slices.Contains(benchmarks, c.benchmark) {
		faults = append(faults, fmt.Errorf("submission_benchmark: %q is none of the round: %s", c.benchmark, strings.Join(benchmarks, ", ")))
	}
	if limit := initMinutes[c.division]; limit > 0 && c.initStopped && c.initStop-c.firstInit >= limit*60e3 {
		faults = append(faults, fmt.Errorf("init_stop: %.1f minutes after init_start, must be less than %.0f in the %s division",
			(c.initStop-c.firstInit)/60e3, limit, c.division))
	}
	return faults
}
