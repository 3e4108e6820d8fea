package render

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum of TFRecord: CRC-32C, rotated and moved so that a
// checksum of data that holds checksums stays a good one.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord frames data as a TFRecord: length and its checksum, data and its.
func appendRecord(b, data []byte) []byte {
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = append(b, length...)
	b = binary.LittleEndian.AppendUint32(b, masked(length))
	b = append(b, data...)
	return binary.LittleEndian.AppendUint32(b, masked(data))
}

// The fields of TensorBoard's Event, Summary and Summary.Value that are written,
// as protocol buffer tags: number and wire type.
const (
	eventWallTime = 1<<3 | 1 // double
	eventStep     = 2 << 3   // varint, type 0
	eventVersion  = 3<<3 | 2 // string
	eventSummary  = 5<<3 | 2 // message
	eventSource   = 10<<3 | 2
	sourceWriter  = 1<<3 | 2
	summaryValue  = 1<<3 | 2
	valueTag      = 1<<3 | 2
	valueSimple   = 2<<3 | 5 // float
)

func appendBytes(b []byte, tag uint64, data []byte) []byte {
	b = binary.AppendUvarint(b, tag)
	b = binary.AppendUvarint(b, uint64(len(data)))
	return append(b, data...)
}

// appendEvent begins an event. Fields that are zero are left out, as proto3 has
// it; a time that is not recorded is one of them.
func appendEvent(b []byte, ms, step int64) []byte {
	if ms != 0 {
		b = binary.AppendUvarint(b, eventWallTime)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(float64(ms)/1000))
	}
	if step != 0 {
		b = binary.AppendUvarint(b, eventStep)
		b = binary.AppendUvarint(b, uint64(step))
	}
	return b
}

func appendScalar(b []byte, tag string, v float64) []byte {
	value := appendBytes(nil, valueTag, []byte(strings.ToValidUTF8(tag, "�")))
	value = binary.AppendUvarint(value, valueSimple)
	value = binary.LittleEndian.AppendUint32(value, math.Float32bits(float32(v)))
	return appendBytes(b, summaryValue, value)
}

// TensorBoardName is a name under which TensorBoard finds a run's events.
func TensorBoardName(r *Run) string {
	return fmt.Sprintf("events.out.tfevents.%010d.temper", firstTime(r)/1000)
}

// TensorBoard writes a run as an event file: the scalars of each step at the
// number of steps taken before it, those of evaluations and rollouts at the number
// of steps taken. The format has single precision. Where the run holds no times, none are
// written.
func TensorBoard(w io.Writer, r *Run) error {
	out := bufio.NewWriter(w)
	first := appendEvent(nil, firstTime(r), 0)
	first = appendBytes(first, eventVersion, []byte("brain.Event:2"))
	first = appendBytes(first, eventSource, appendBytes(nil, sourceWriter, []byte("temper")))
	b := appendRecord(nil, first)
	events := r.Events
	for i := 0; i <= len(r.Steps); i++ {
		for len(events) > 0 && (events[0].After <= i || i == len(r.Steps)) {
			e := &events[0]
			if prefix := measures[e.Kind]; prefix != "" && len(e.Values) > 0 {
				b = appendSummary(b, e.Time, int64(i), prefixed(prefix+r.stageName(e.Stage)+"/", e.Values))
			}
			events = events[1:]
		}
		if i < len(r.Steps) {
			b = appendSummary(b, r.Steps[i].Time, int64(i), r.scalars(&r.Steps[i]))
		}
		if _, err := out.Write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	return out.Flush()
}

// measures are the prefixes of what events measured, by their kind.
var measures = map[string]string{Evaluation: "evaluation/", Rollout: "rollout/"}

func appendSummary(b []byte, ms, step int64, values []Value) []byte {
	var summary []byte
	for _, v := range values {
		summary = appendScalar(summary, v.Name, v.Value)
	}
	return appendRecord(b, appendBytes(appendEvent(nil, ms, step), eventSummary, summary))
}

func prefixed(prefix string, values []Value) []Value {
	out := make([]Value, len(values))
	for i, v := range values {
		out[i] = Value{prefix + v.Name, v.Value}
	}
	return out
}

// scalars are the numbers of a step that are recorded or follow from it.
func (r *Run) scalars(s *Step) []Value {
	out := prefixed("loss/", s.Losses)
	out = append(out, Value{"grad_norm", s.GradNorm}, Value{"lr", s.LR}, Value{"max_violation", s.MaxViolation})
	if v := s.TokensPerSecond(); !math.IsNaN(v) {
		out = append(out, Value{"tokens_per_second", v})
	}
	for i, c := range r.Conventions {
		if v := r.MFU(s, i); !math.IsNaN(v) {
			out = append(out, Value{"mfu/" + c.Name, v})
		}
	}
	if s.Memory > 0 {
		out = append(out, Value{"memory_bytes", float64(s.Memory)})
	}
	for _, p := range s.Split {
		out = append(out, Value{"seconds/" + p.Name, p.Took.Seconds()})
	}
	return out
}

// firstTime is the first time a run holds, 0 if none.
func firstTime(r *Run) int64 {
	for i := range r.Events {
		if r.Events[i].Time > 0 {
			return r.Events[i].Time
		}
	}
	for i := range r.Steps {
		if r.Steps[i].Time > 0 {
			return r.Steps[i].Time
		}
	}
	return 0
}
