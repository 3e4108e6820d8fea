package execution

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/temper-ml/temper/internal/durable"
)

// logName is the file of events in a run directory.
const logName = "log.jsonl"

// entry is one line of the log.
type entry struct {
	Kind  string          `json:"kind"`
	Event json.RawMessage `json:"event"`
}

// kinds names the events in the log.
func kind(e Event) string {
	switch e.(type) {
	case Began:
		return "began"
	case StageBegan:
		return "stage"
	case Stepped:
		return "step"
	case Measured:
		return "measured"
	case Saved:
		return "saved"
	case Noted:
		return "noted"
	default:
		return "ended"
	}
}

// eventLog appends events to the run's log.
type eventLog struct {
	file *os.File
	buf  *bufio.Writer
}

// openLog opens the log for appending. Lines that belong after the given
// position, steps that will be taken again, are dropped first, as is a line
// that a crash cut short.
func openLog(dir string, at position) (*eventLog, error) {
	name := filepath.Join(dir, logName)
	old, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(old) > 0 {
		if err := durable.WriteFile(durable.OS, name, keepUntil(old, at)); err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &eventLog{f, bufio.NewWriter(f)}, nil
}

// position is a place in a run: steps taken of a stage.
type position struct {
	stage int
	step  int64
}

func (p position) after(q position) bool {
	return p.stage > q.stage || p.stage == q.stage && p.step > q.step
}

// keepUntil returns the lines of a log that lie at or before a position.
func keepUntil(log []byte, at position) []byte {
	var keep []byte
	if at == (position{}) {
		return nil
	}
	for line := range bytes.Lines(log) {
		var e entry
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &e) != nil {
			break
		}
		var where struct {
			Stage  int
			Step   int64
			From   int64
			Result struct{ Step int64 }
		}
		_ = json.Unmarshal(e.Event, &where) // events without a place have none
		p := position{where.Stage, where.Step}
		switch e.Kind {
		case "step":
			p.step = where.Result.Step + 1
		case "stage":
			p.step = where.From
		case "began", "noted":
			p = position{}
		}
		if p.after(at) {
			break
		}
		keep = append(keep, line...)
	}
	return keep
}

// Observe appends one event. A failure to write is found by Sync.
func (l *eventLog) Observe(e Event) {
	body, err := json.Marshal(e)
	if err == nil {
		body, err = json.Marshal(entry{kind(e), body})
	}
	if err != nil { // events hold plain values; a NaN is the only thing JSON refuses
		body = fmt.Appendf(nil, `{"kind":"noted","event":{"text":%q}}`, "event not recorded: "+err.Error())
	}
	_, _ = l.buf.Write(append(body, '\n')) // a bufio.Writer keeps its first error
	_ = l.buf.Flush()                      // others may follow the log as it grows
}

// Sync returns when everything observed is on the disk.
func (l *eventLog) Sync() error {
	if err := l.buf.Flush(); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return l.file.Sync()
}

// Close flushes and closes the log.
func (l *eventLog) Close() error {
	err := l.buf.Flush()
	return errors.Join(err, l.file.Close())
}

// ReadLog calls f for each event of a run directory's log, in order. A last line
// that is cut short, by a crash or because it is being written, is left out.
func ReadLog(r io.Reader, f func(Event) error) error {
	d := json.NewDecoder(r)
	for line := 1; ; line++ {
		var e entry
		if err := d.Decode(&e); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("log entry %d: %w", line, err)
		}
		ev, err := e.decode()
		if err != nil {
			return fmt.Errorf("log entry %d: %w", line, err)
		}
		if err := f(ev); err != nil {
			return err
		}
	}
}

func (e *entry) decode() (Event, error) {
	switch e.Kind {
	case "began":
		return decodeAs[Began](e.Event)
	case "stage":
		return decodeAs[StageBegan](e.Event)
	case "step":
		return decodeAs[Stepped](e.Event)
	case "measured":
		return decodeAs[Measured](e.Event)
	case "saved":
		return decodeAs[Saved](e.Event)
	case "noted":
		return decodeAs[Noted](e.Event)
	case "ended":
		return decodeAs[Ended](e.Event)
	}
	return nil, fmt.Errorf("unknown kind %q", e.Kind)
}

func decodeAs[T Event](raw json.RawMessage) (Event, error) {
	var v T
	err := json.Unmarshal(raw, &v)
	return v, err
}
