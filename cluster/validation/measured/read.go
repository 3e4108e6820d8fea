package measured

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/cluster/validation/fit"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// maxMeasured bounds the size of a file of measurements.
const maxMeasured = 256 << 20

// Read reads what a user measured, to calibrate with. path is one of
//
//   - a CSV file with [Columns] as its first line: one case for each row;
//   - a file of JSON lines (see [ReadLines]);
//   - the text log of Megatron-LM or MindSpeed-LLM, with its lines of "elapsed
//     time per iteration (ms)";
//   - the directory of a temper run.
//
// All but the first say nothing of model, cluster and layout: those are base's.
func Read(path string, base Case) ([]Case, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	if info.IsDir() {
		return readRun(path, base)
	}
	if info.Size() > maxMeasured {
		return nil, fmt.Errorf("measured: %s has %d bytes, want at most %d", path, info.Size(), maxMeasured)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	base.Position, base.Source, base.Grade, base.System = path, path, "measured", path
	switch head := bytes.TrimLeft(src, "\ufeff \t\r\n"); {
	case bytes.HasPrefix(head, []byte("source,")):
		return readMeasuredCSV(path, src)
	case bytes.HasPrefix(head, []byte("{")):
		return ReadLines(path, bytes.NewReader(src), base)
	}
	c, err := ReadMegatronLog(path, bytes.NewReader(src), base)
	if err != nil {
		return nil, err
	}
	return []Case{c}, nil
}

// Run is what a run's record has of its stages, by their number: what each was
// made of, and the seconds of its steps.
type Run struct {
	Stages  map[int]*record.Stage
	Seconds map[int][]float64
}

// ReadRun reads the steps of a temper run from its record. A step that was taken
// again counts each time: each time it was measured.
func ReadRun(dir string) (*Run, error) {
	path := filepath.Join(dir, "record")
	if _, err := os.Stat(filepath.Join(path, runlog.ManifestName)); err != nil {
		return nil, fmt.Errorf("measured: %s is no run of temper: it has no record", dir)
	}
	out, found := &Run{map[int]*record.Stage{}, map[int][]float64{}}, false
	_, _, err := runlog.Read(path, runlog.Trust{}, func(e *record.Entry) error {
		switch s := e.Body.(type) {
		case *record.Stage:
			out.Stages[s.Stage] = s
		case *record.Step:
			if s.Skipped == "" && s.Time.Wall > 0 {
				out.Seconds[s.Stage], found = append(out.Seconds[s.Stage], float64(s.Time.Wall)/1e9), true
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	if !found {
		return nil, fmt.Errorf("measured: %s has no measured step", path)
	}
	return out, nil
}

// readRun takes the steps of all stages together.
func readRun(dir string, base Case) ([]Case, error) {
	run, err := ReadRun(dir)
	if err != nil {
		return nil, err
	}
	var seconds []float64
	for _, stage := range slices.Sorted(maps.Keys(run.Seconds)) {
		seconds = append(seconds, run.Seconds[stage]...)
	}
	path := filepath.Join(dir, "record")
	base.Position, base.Source, base.Grade, base.System = path, path, "measured", path
	base.Seconds, base.Steps = Settled(seconds), len(seconds)
	return []Case{base}, nil
}

// readMeasuredCSV reads a file of this package's own form.
func readMeasuredCSV(path string, src []byte) ([]Case, error) {
	rows, err := ReadRows(path, bytes.NewReader(src))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("measured: %s has no rows below its first line", path)
	}
	return Cases(rows)
}

var (
	elapsed    = regexp.MustCompile(`elapsed time per iteration \(ms\):\s*([0-9.eE+-]+)`)
	throughput = regexp.MustCompile(`throughput per GPU \(TFLOP/s/GPU\):\s*([0-9.eE+-]+)`)
	batchSize  = regexp.MustCompile(`global batch size:\s*([0-9]+)`)
	maxAlloc   = regexp.MustCompile(`max allocated:\s*([0-9.eE+-]+)`)
)

// ReadMegatronLog reads the text log of a Megatron-LM or MindSpeed-LLM run: the
// median of its iterations, and the largest memory of any rank that it prints.
// A global batch size in the log must be base's.
func ReadMegatronLog(name string, in io.Reader, base Case) (Case, error) {
	var seconds, teraflops []float64
	memory := 0.0
	r := bufio.NewScanner(in)
	r.Buffer(nil, 1<<20)
	for n := 1; r.Scan(); n++ {
		line := r.Text()
		if m := maxAlloc.FindStringSubmatch(line); m != nil {
			if x, err := strconv.ParseFloat(m[1], 64); err == nil && x*(1<<20) > memory {
				memory = x * (1 << 20)
			}
		}
		m := elapsed.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		x, err := strconv.ParseFloat(m[1], 64)
		if err != nil || !(x > 0) || x > 1e9 {
			return Case{}, fmt.Errorf("measured: %s:%d: elapsed time per iteration is %q, want milliseconds above 0", name, n, m[1])
		}
		seconds = append(seconds, x/1000)
		if m := throughput.FindStringSubmatch(line); m != nil {
			if x, err := strconv.ParseFloat(m[1], 64); err == nil && x > 0 {
				teraflops = append(teraflops, x)
			}
		}
		if m := batchSize.FindStringSubmatch(line); m != nil && strings.TrimLeft(m[1], "0") != strconv.Itoa(base.GlobalBatch) {
			return Case{}, fmt.Errorf("measured: %s:%d: global batch size is %s, but the plan's is %d: give --global-batch %s", name, n, m[1], base.GlobalBatch, m[1])
		}
	}
	if err := r.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = errors.New("a line has more than 1 MiB: is this a log?")
		}
		return Case{}, fmt.Errorf("measured: %s: %w", name, err)
	}
	if len(seconds) == 0 {
		return Case{}, fmt.Errorf(`measured: %s has no measured step: want CSV whose first line starts with "source,model,", JSON lines, or lines with "elapsed time per iteration (ms): ..."`, name)
	}
	base.Seconds, base.Steps = Settled(seconds), len(seconds)
	base.Logged = fit.Median(teraflops)
	if memory > 0 {
		base.Memory, base.MemoryKind = memory, Allocated
	}
	return base, nil
}

// Settled is the median of the steps after the first tenth, and after the first
// step in any case, in which programs compile and allocate.
func Settled(seconds []float64) float64 {
	if skip := max(1, len(seconds)/10); len(seconds) > skip {
		seconds = seconds[skip:]
	}
	return fit.Median(seconds)
}
