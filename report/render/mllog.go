package render

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The event types of a line.
const (
	intervalStart = "INTERVAL_START"
	intervalEnd   = "INTERVAL_END"
	pointInTime   = "POINT_IN_TIME"
)

// line is one line of an MLPerf log. The order of the keys is part of the format.
type line struct {
	at         int64
	event, key string
	value      any
	file       string
	number     int64
	extra      []Setting
}

// append writes the line in the spelling of the reference logger: a space after
// colons and commas, ASCII only.
func (l *line) append(b []byte) ([]byte, error) {
	value, err := compact(l.value)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.key, err)
	}
	b = fmt.Appendf(b, `:::MLLOG {"namespace": "", "time_ms": %d, "event_type": %s, "key": %s, "value": %s, "metadata": {"file": %s, "lineno": %d`,
		l.at, quote(l.event), quote(l.key), value, quote(l.file), l.number)
	for _, m := range l.extra {
		value, err := compact(m.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", l.key, m.Key, err)
		}
		b = fmt.Appendf(b, `, %s: %s`, quote(m.Key), value)
	}
	return append(b, "}}\n"...), nil
}

// compact is the JSON of a string, a number, a truth value, nil or settings.
func compact(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case string:
		return quote(v), nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case int64:
		return itoa(v), nil
	case uint64:
		return strconv.FormatUint(v, 10), nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", fmt.Errorf("%v has no JSON form", v)
		}
		b, err := json.Marshal(v)
		return string(b), err
	case []Setting:
		var parts []string
		for _, s := range v {
			value, err := compact(s.Value)
			if err != nil {
				return "", fmt.Errorf("%s: %w", s.Key, err)
			}
			parts = append(parts, quote(s.Key)+": "+value)
		}
		return "{" + strings.Join(parts, ", ") + "}", nil
	}
	return "", fmt.Errorf("a value of type %T is not one of string, number, truth value, null", v)
}

// quote is s as a JSON string in ASCII: the checker reads logs as Latin-1.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// mllog collects the lines of a run and what is missing for them.
type mllog struct {
	run     *Run
	sub     *Submission
	stage   int // whose evaluations decide
	lines   []line
	missing []string
}

// MLLOG writes a run as an MLPerf training log of the 6.1 rules. It writes
// nothing and says everything that is missing when the record does not hold
// what the rules ask for; no line is made up.
func MLLOG(w io.Writer, r *Run, sub Submission) error {
	l := &mllog{run: r, sub: &sub, stage: sub.stageOf(r)}
	l.need()
	settings := l.settings()
	if len(l.missing) == 0 {
		l.header(settings)
		l.body()
	}
	if len(l.missing) > 0 {
		return fmt.Errorf("an MLPerf log of %q needs what its record does not hold: %s", r.Name, strings.Join(l.missing, "; "))
	}
	var b []byte
	var err error
	for i := range l.lines {
		if i > 0 && l.lines[i].at < l.lines[i-1].at {
			return fmt.Errorf("entry %d (%s) is at %d ms, before the entry written ahead of it (%s, %d ms): the clock of the record went back",
				l.lines[i].number, l.lines[i].key, l.lines[i].at, l.lines[i-1].key, l.lines[i-1].at)
		}
		if b, err = l.lines[i].append(b); err != nil {
			return err
		}
	}
	if err := CheckMLLOG(strings.NewReader(string(b))); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

func (l *mllog) lack(ok bool, what string) {
	if !ok {
		l.missing = append(l.missing, what)
	}
}

// need checks that everything the rules require is there, before any line.
func (l *mllog) need() {
	r, s := l.run, l.sub
	l.lack(s.Org != "", "the submitting organisation")
	l.lack(s.Platform != "", "the submission platform")
	l.lack(s.Division == "closed" || s.Division == "open", "a division, closed or open")
	l.lack(s.Benchmark != "", "the benchmark")
	l.lack(s.Metric != "", "the evaluation value that is the accuracy")
	l.lack(r.TrainSamples > 0, "the number of training samples")
	l.lack(l.samples() > 0, "the number of evaluation samples")
	l.lack(r.Accumulation > 0, "the gradient accumulation steps")
	l.lack(l.micro() > 0, "the rows of a micro-batch")
	l.lack(r.Recipe != "", "the recipe")
	l.lack(r.Mesh != nil, "the tensor, pipeline, context and expert parallelism")
	l.lack(r.Precision != nil, "the lowest precision in linear layers, attention and communication")
	l.lack(r.Seed != nil, "the seed")
	l.lack(len(r.Steps) > 0, "steps")
	for _, kind := range []string{InitStart, InitStop, Begin, End} {
		e := l.first(kind)
		l.lack(e != nil, "an entry "+kind)
		l.lack(e == nil || e.Time > 0, "the time of entry "+kind)
	}
	evaluations := 0
	for i := range r.Events {
		if e := &r.Events[i]; l.decides(e) {
			evaluations++
			l.lack(e.Time > 0, fmt.Sprintf("the time of entry %d (evaluation)", e.Index))
		}
	}
	l.lack(evaluations > 0 || s.Metric == "", fmt.Sprintf("an evaluation of %q", s.Metric))
	for i := range r.Steps {
		if r.rows(&r.Steps[i]) <= 0 {
			l.lack(false, fmt.Sprintf("the examples of entry %d (step)", r.Steps[i].Index))
			break
		}
	}
}

// decides says whether an event measures what the submission is about.
func (l *mllog) decides(e *Event) bool {
	_, ok := e.value(l.sub.Metric)
	return ok && e.Kind == Evaluation && e.Stage == l.stage
}

// micro is the rows that go through the model at once in the stage that decides,
// or in the only one.
func (l *mllog) micro() int64 {
	switch stages := l.run.Stages; {
	case l.stage >= 0 && l.stage < len(stages):
		return stages[l.stage].Micro
	case len(stages) == 1:
		return stages[0].Micro
	}
	return 0
}

// samples are those that the metric was taken on.
func (l *mllog) samples() int64 {
	if n, ok := l.run.Samples[l.sub.Metric]; ok {
		return n
	}
	return l.run.EvalSamples
}

// rows are a step's samples as the rules count them, rows of the stage's batch;
// where that is not on record, a row is taken to hold one example.
func (r *Run) rows(s *Step) int64 {
	if s.Stage >= 0 && s.Stage < len(r.Stages) && r.Stages[s.Stage].Batch > 0 {
		return r.Stages[s.Stage].Batch
	}
	return s.Examples
}

// first is the first event of a kind.
func (l *mllog) first(kind string) *Event {
	for i := range l.run.Events {
		if l.run.Events[i].Kind == kind {
			return &l.run.Events[i]
		}
	}
	return nil
}

// value is the value of an event by name.
func (e *Event) value(name string) (float64, bool) {
	for _, v := range e.Values {
		if v.Name == name {
			return v.Value, true
		}
	}
	return 0, false
}

func (l *mllog) add(e *Event, at int64, event, key string, value any, extra ...Setting) {
	file := l.run.Source
	if e.Index == 0 && e.Kind == InitStart { // what a manifest says
		file = "manifest.json"
	}
	l.lines = append(l.lines, line{at: at, event: event, key: key, value: value, file: file, number: e.Index, extra: extra})
}

// declare adds a line of what the submitter says and the record does not.
func (l *mllog) declare(at int64, key string, value any) {
	l.lines = append(l.lines, line{at: at, event: pointInTime, key: key, value: value, file: "submission"})
}

// header writes what comes before the run: who, what, how.
func (l *mllog) header(settings []Setting) {
	r, s := l.run, l.sub
	init, stop := l.first(InitStart), l.first(InitStop)
	if clear := l.first(CacheClear); clear != nil {
		l.add(clear, clear.Time, pointInTime, "cache_clear", true)
	} else {
		l.declare(init.Time, "cache_clear", s.CacheCleared)
	}
	l.add(init, init.Time, intervalStart, "init_start", nil)
	for _, f := range []Setting{
		{"submission_benchmark", s.Benchmark},
		{"submission_org", s.Org},
		{"submission_division", s.Division},
		{"submission_platform", s.Platform},
	} {
		l.declare(init.Time, f.Key, f.Value)
	}
	for _, f := range []Setting{
		{"seed", *r.Seed},
		{"train_samples", r.TrainSamples},
		{"eval_samples", l.samples()},
		{"gradient_accumulation_steps", r.Accumulation},
		{"lowest_numerical_precision_in_linear", mlperfName(r.Precision.Linear)},
		{"lowest_numerical_precision_in_attn", mlperfName(r.Precision.Attention)},
		{"lowest_numerical_precision_in_comm", mlperfName(r.Precision.Communication)},
		{"tensor_parallelism", r.Mesh.Tensor},
		{"pipeline_parallelism", r.Mesh.Pipeline},
		{"context_parallelism", r.Mesh.Context},
		{"expert_parallelism", r.Mesh.Expert},
		{"micro_batch_size", l.micro()},
		{"config_filename", "recipe.yaml"}, // in the run directory, and word for word in the manifest
	} {
		l.add(init, init.Time, pointInTime, f.Key, f.Value)
	}
	for _, f := range settings {
		l.add(init, init.Time, pointInTime, f.Key, f.Value)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Settings)) {
		l.declare(init.Time, key, s.Settings[key])
	}
	l.add(stop, stop.Time, intervalEnd, "init_stop", nil)
}

// body writes the run: a block up to the end of each evaluation, and the result.
// The run starts with its first stage and stops where it ended, not where the
// target was met first.
func (l *mllog) body() {
	begin, end := l.first(Begin), l.first(End)
	if stage := l.first(StageBegin); stage != nil && stage.Time > 0 {
		begin = stage
	}
	samples := func(n int64) Setting { return Setting{"samples_count", n} }
	l.add(begin, begin.Time, intervalStart, "run_start", nil)
	l.add(begin, begin.Time, intervalStart, "block_start", nil, samples(0))
	var done int64
	at, status := 0, "aborted"
	open := true
	for i := range l.run.Events {
		e := &l.run.Events[i]
		if !l.decides(e) {
			continue
		}
		v, _ := e.value(l.sub.Metric)
		from, before := at, done
		for ; at < e.After && at < len(l.run.Steps); at++ {
			done += l.run.rows(&l.run.Steps[at])
		}
		start := e.Time - e.Took.Milliseconds()
		if !open {
			l.add(e, l.lines[len(l.lines)-1].at, intervalStart, "block_start", nil, samples(before))
		}
		l.stats(e, start, l.run.Steps[from:at], samples(done))
		l.add(e, start, intervalStart, "eval_start", nil, samples(done))
		l.add(e, e.Time, pointInTime, "eval_accuracy", v, samples(done))
		l.add(e, e.Time, intervalEnd, "eval_stop", nil, samples(done))
		l.add(e, e.Time, intervalEnd, "block_stop", nil, samples(done))
		open = false
		if l.sub.reached(v) {
			status = "success"
		}
	}
	if before := done; at < len(l.run.Steps) {
		for ; at < len(l.run.Steps); at++ {
			done += l.run.rows(&l.run.Steps[at])
		}
		if !open {
			l.add(end, l.lines[len(l.lines)-1].at, intervalStart, "block_start", nil, samples(before))
		}
		open = true
	}
	if open {
		l.add(end, end.Time, intervalEnd, "block_stop", nil, samples(done))
	}
	l.add(end, end.Time, intervalEnd, "run_stop", nil, Setting{"status", status}, samples(done))
}

// stats tells a block's mean step time and rate, where steps have times.
func (l *mllog) stats(e *Event, at int64, steps []Step, samples Setting) {
	var wall float64
	var tokens int64
	for i := range steps {
		if steps[i].Wall <= 0 {
			return
		}
		wall += steps[i].Wall.Seconds()
		tokens += steps[i].Tokens
	}
	if len(steps) > 0 {
		l.add(e, at, pointInTime, "tracked_stats", []Setting{
			{"train_step_time", wall / float64(len(steps))}, {"tokens_per_second", float64(tokens) / wall},
		}, samples)
	}
}

// reached reports whether a value meets the target.
func (s *Submission) reached(v float64) bool {
	if s.Lower {
		return v <= s.Target
	}
	return v >= s.Target
}
