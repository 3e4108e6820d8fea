package sim

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// TraceOptions chooses what of a run is written.
type TraceOptions struct {
	Ranks []int // empty: the first rank of every stage, one whole replica of the pipeline
	Gzip  bool
}

// Trace writes the run as a Chrome trace (JSON, the format that Perfetto and
// chrome://tracing open). Each rank is a process with a thread for its compute
// stream and one for each stream of transfers; waiting is drawn inside the
// collective that waits, and arrows follow the messages between the chosen
// ranks. Moments are microseconds with three decimals: whole nanoseconds, as
// viewers count, so that what touches in the run touches in the picture.
func (run *Run) Trace(w io.Writer, o TraceOptions) error {
	ranks, err := run.chosen(o.Ranks)
	if err != nil {
		return err
	}
	if o.Gzip {
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		if err := run.trace(z, ranks); err != nil {
			return err
		}
		return z.Close()
	}
	return run.trace(w, ranks)
}

// chosen checks the list of ranks, or makes it.
func (run *Run) chosen(ranks []int) ([]int, error) {
	if len(ranks) == 0 {
		for s := range run.Program.Stages {
			ranks = append(ranks, s*run.Program.block())
		}
		return ranks, nil
	}
	ranks = slices.Clone(ranks)
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	for _, r := range ranks {
		if r < 0 || r >= run.Program.Ranks {
			return nil, fmt.Errorf("sim: trace: rank %d does not exist: the ranks are 0 to %d", r, run.Program.Ranks-1)
		}
	}
	return ranks, nil
}

// tracer writes events one by one.
type tracer struct {
	*bufio.Writer
	run    *Run
	chosen []bool
	buf    []byte
	some   bool
	lanes  []Time // of the current rank: when each of its send threads is free
}

func (run *Run) trace(w io.Writer, ranks []int) error {
	t := &tracer{Writer: bufio.NewWriterSize(w, 1<<16), run: run, chosen: make([]bool, run.Program.Ranks)}
	for _, r := range ranks {
		t.chosen[r] = true
	}
	t.WriteString("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")
	for _, r := range ranks {
		t.names(r)
		t.lanes = t.lanes[:0]
		code := run.Program.Code(r)
		for pc := range code {
			t.instruction(int32(r), int32(pc), &code[pc])
		}
		t.tail(int32(r))
	}
	t.WriteString("\n]}\n")
	return t.Flush()
}

// Threads of a rank: compute, the streams of the axes, then as many for sends
// as are ever under way at once, because slices of a thread must nest.
const (
	computeThread = 0
	axisThread    = 1
	sendThread    = 300
)

// lane returns the thread of a send, naming it when it is new.
func (t *tracer) lane(r int32, begin, end Time) int {
	i := 0
	for i < len(t.lanes) && t.lanes[i] > begin {
		i++
	}
	if i == len(t.lanes) {
		t.lanes = append(t.lanes, 0)
		t.meta(int(r), sendThread+i, "thread_name", strconv.Quote(fmt.Sprintf("sends %d", i+1)))
	}
	t.lanes[i] = end
	return sendThread + i
}

// names describes the process and the threads of rank r.
func (t *tracer) names(r int) {
	p := t.run.Program
	t.meta(r, -1, "process_name", strconv.Quote(fmt.Sprintf("rank %d, stage %d, node %d", r, p.Stage(r), r/p.Node)))
	t.meta(r, -1, "process_sort_index", strconv.Itoa(r))
	t.meta(r, computeThread, "thread_name", `"compute"`)
	used := map[uint8]bool{}
	for _, in := range p.Code(r) {
		if in.Kind == Start {
			used[in.Axis] = true
		}
	}
	for a := range p.Axes {
		if used[uint8(a)] {
			t.meta(r, axisThread+a, "thread_name", strconv.Quote(p.Axes[a].Name+" collectives beside"))
		}
	}
}

func (t *tracer) meta(pid, tid int, name, value string) {
	key := "name"
	if name == "process_sort_index" {
		key = "sort_index"
	}
	t.open()
	fmt.Fprintf(t, `{"ph":"M","pid":%d,`, pid)
	if tid >= 0 {
		fmt.Fprintf(t, `"tid":%d,`, tid)
	}
	fmt.Fprintf(t, `"name":%q,"args":{%q:%s}}`, name, key, value)
}

func (t *tracer) open() {
	if t.some {
		t.WriteByte(',')
	}
	t.some = true
	t.WriteByte('\n')
}

// instruction writes what instruction pc of rank r did, if it ended.
func (t *tracer) instruction(r, pc int32, in *Instruction) {
	e := t.run.e
	end := e.ended(r, pc)
	if end < 0 {
		return
	}
	from := e.ended(r, e.previous(r, pc))
	name := t.run.Program.Parts[in.Part]
	switch in.Kind {
	case Compute:
		t.slice(r, computeThread, name, from, end, in, -1)
	case Collective:
		t.slice(r, computeThread, name, from, end, in, -1)
		if begin := min(end, e.begin(r, pc)); begin > from {
			t.slice(r, computeThread, "wait", from, begin, in, e.records[e.ranks[r].base+pc].by)
		}
	case Start:
		t.slice(r, axisThread+int(in.Axis), name, e.begin(r, pc), end, in, -1)
	case Wait:
		if end > from {
			t.slice(r, computeThread, "wait for "+name, from, end, in, e.records[e.ranks[r].base+in.Match].by)
		}
	case Send:
		begin := e.begin(r, pc)
		lane := t.lane(r, begin, end)
		t.slice(r, lane, name, begin, end, in, -1)
		if to := r + (in.Peer-e.ranks[r].stage)*int32(e.p.block()); t.chosen[to] && e.ended(to, in.Match) >= 0 {
			t.flow("s", r, lane, begin, r, pc)
		}
	case Receive:
		sender := r + (in.Peer-e.ranks[r].stage)*int32(e.p.block())
		t.slice(r, computeThread, name, from, end, in, sender)
		if t.chosen[sender] {
			t.flow("f", r, computeThread, end, sender, in.Match)
		}
	}
}

// tail draws what a rank that never finished waits for.
func (t *tracer) tail(r int32) {
	e := t.run.e
	me := &e.ranks[r]
	code := t.run.Program.Code(int(r))
	if me.state == done || int(me.pc) >= len(code) || t.run.Wall <= me.clock {
		return
	}
	name := "stopped"
	if me.state != halted {
		name = "waits in vain: " + t.run.Program.Parts[code[me.pc].Part]
	}
	t.slice(r, computeThread, name, me.clock, t.run.Wall, &code[me.pc], -1)
}

// slice writes one complete event.
func (t *tracer) slice(r int32, tid int, name string, begin, end Time, in *Instruction, by int32) {
	t.open()
	b := append(t.buf[:0], `{"ph":"X","pid":`...)
	b = strconv.AppendInt(b, int64(r), 10)
	b = append(b, `,"tid":`...)
	b = strconv.AppendInt(b, int64(tid), 10)
	b = append(b, `,"ts":`...)
	b = appendMicroseconds(b, begin)
	b = append(b, `,"dur":`...)
	b = appendMicroseconds(b, end/1000*1000-begin/1000*1000)
	b = append(b, `,"name":`...)
	b = strconv.AppendQuote(b, name)
	b = append(b, `,"args":{"chunk":`...)
	b = strconv.AppendInt(b, int64(in.Chunk), 10)
	b = append(b, `,"micro":`...)
	b = strconv.AppendInt(b, int64(in.Micro), 10)
	if in.Layer >= 0 {
		b = append(b, `,"layer":`...)
		b = strconv.AppendInt(b, int64(in.Layer), 10)
	}
	if by >= 0 {
		b = append(b, `,"rank":`...)
		b = strconv.AppendInt(b, int64(by), 10)
	}
	t.buf = append(b, "}}"...)
	t.Write(t.buf)
}

// flow writes one end of the arrow of the message sent by instruction pc of
// rank sender.
func (t *tracer) flow(ph string, r int32, tid int, at Time, sender, pc int32) {
	t.open()
	b := append(t.buf[:0], `{"ph":"`...)
	b = append(b, ph...)
	b = append(b, `","pid":`...)
	b = strconv.AppendInt(b, int64(r), 10)
	b = append(b, `,"tid":`...)
	b = strconv.AppendInt(b, int64(tid), 10)
	b = append(b, `,"ts":`...)
	b = appendMicroseconds(b, at)
	b = append(b, `,"id":`...)
	b = strconv.AppendInt(b, int64(t.run.e.ranks[sender].base+pc), 10)
	if ph == "f" {
		b = append(b, `,"bp":"e"`...)
	}
	t.buf = append(b, `,"name":"message","cat":"message"}`...)
	t.Write(t.buf)
}

// appendMicroseconds writes t, down to the nanosecond.
func appendMicroseconds(b []byte, t Time) []byte {
	b = strconv.AppendInt(b, int64(t)/1e6, 10)
	b = append(b, '.')
	return append(b, strconv.Itoa(1e3 + int(int64(t)%1e6)/1e3)[1:]...)
}
