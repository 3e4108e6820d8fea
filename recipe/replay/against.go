package replay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train"
)

// WriteTrace takes a step and writes its trace.
func (r *Replayer) WriteTrace(ctx context.Context, at verify.Position, w io.Writer) (trace.Footer, error) {
	h, err := r.Header(at)
	if err != nil {
		return trace.Footer{}, err
	}
	t, err := trace.NewWriter(w, h)
	if err != nil {
		return trace.Footer{}, err
	}
	if err := r.Trace(ctx, at, &train.Tracing{Each: t.Add}); err != nil {
		return trace.Footer{}, err
	}
	return t.Close()
}

// WriteValues takes a step twice and writes what operator index of its trace computed.
func (r *Replayer) WriteValues(ctx context.Context, at verify.Position, index int64, w io.Writer) error {
	e, err := r.entry(ctx, at, index)
	if err != nil {
		return err
	}
	values, err := r.Values(ctx, at, e.Operator)
	if err != nil {
		return err
	}
	h, err := r.Header(at)
	if err != nil {
		return err
	}
	return writeValues(w, &ValuesHeader{ValuesFormat, h.Manifest, at.Stage, at.Step, index}, e, values)
}

// entry is an entry of a step's trace.
func (r *Replayer) entry(ctx context.Context, at verify.Position, index int64) (*trace.Entry, error) {
	var found *trace.Entry
	n := int64(0)
	err := r.Trace(ctx, at, &train.Tracing{Each: func(e trace.Entry) error {
		if n == index {
			found = &e
		}
		n++
		return nil
	}})
	if err == nil && found == nil {
		err = fmt.Errorf("replay: no operator %d: the step has %d", index, n)
	}
	return found, err
}

// Dispute is what became of comparing this machine's step with another's.
type Dispute struct {
	Stage int   `json:"stage"`
	Step  int64 `json:"step"`
	// Equal says that both computed the same.
	Equal bool `json:"equal"`
	// Operators is how many the step has here, Rounds how often both sides were asked.
	Operators int64 `json:"operators"`
	Rounds    int   `json:"rounds"`
	// Index is the first operator that differs, Operator its name in words.
	Index    int64  `json:"index"`
	Operator string `json:"operator,omitempty"`
	// Here and There are the digests of its output or, if the file holds values,
	// the first element that differs, Element.
	Here    string `json:"here,omitempty"`
	There   string `json:"there,omitempty"`
	Element *int64 `json:"element,omitempty"`
}

// Against compares this machine's step with a trace, or values of an operator,
// that another machine wrote.
func (r *Replayer) Against(ctx context.Context, file io.Reader) (*Dispute, error) {
	b := bufio.NewReader(file)
	head, err := b.Peek(len(`{"format":"temper-values/`))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.Contains(head, []byte("temper-values/")) {
		return r.againstValues(ctx, b)
	}
	return r.againstTrace(ctx, b)
}

func (r *Replayer) againstTrace(ctx context.Context, file io.Reader) (*Dispute, error) {
	var theirs []trace.Entry
	h, _, err := trace.Read(file, func(e trace.Entry) error {
		theirs = append(theirs, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	at := verify.Position{Stage: h.Stage, Step: h.Step}
	own, err := r.Header(at)
	if err == nil {
		err = own.SameStep(&h)
	}
	if err != nil {
		return nil, err
	}
	mine, err := r.Entries(ctx, at)
	if err != nil {
		return nil, err
	}
	f, err := trace.Find(ctx, trace.New(mine), trace.New(theirs))
	if err != nil {
		return nil, err
	}
	d := &Dispute{Stage: at.Stage, Step: at.Step, Operators: int64(len(mine)), Equal: f == nil}
	if f == nil {
		return d, nil
	}
	d.Rounds, d.Index = f.Rounds, f.Index
	for _, side := range []struct {
		e  *trace.Entry
		to *string
	}{{f.A, &d.Here}, {f.B, &d.There}} {
		*side.to = "nothing: its trace has ended"
		if side.e != nil {
			*side.to = side.e.Digest.String()
			d.Operator = side.e.Operator.String()
		}
	}
	if f.A != nil && f.B != nil && f.A.Operator != f.B.Operator {
		d.Operator = f.A.Operator.String()
		d.There = f.B.Operator.String() + " " + d.There
	}
	return d, nil
}

func (r *Replayer) againstValues(ctx context.Context, file io.Reader) (*Dispute, error) {
	h, e, theirs, err := readValues(file)
	if err != nil {
		return nil, err
	}
	at := verify.Position{Stage: h.Stage, Step: h.Step}
	own, err := r.Header(at)
	if err != nil {
		return nil, err
	}
	if h.Manifest != own.Manifest {
		return nil, fmt.Errorf("values: of a run with manifest %s, this one has %s", h.Manifest, own.Manifest)
	}
	mine, err := r.Values(ctx, at, e.Operator)
	if err != nil {
		return nil, err
	}
	d := &Dispute{Stage: at.Stage, Step: at.Step, Index: h.Index, Operator: e.Operator.String(), Rounds: 1}
	n := firstDifference(mine, theirs)
	if n == int64(len(mine)) && n == int64(len(theirs)) {
		d.Equal = true
		return d, nil
	}
	d.Element = &n
	d.Here, d.There = element(mine, n, e.Integer), element(theirs, n, e.Integer)
	return d, nil
}

// element is a value as text, with its bits.
func element(values []uint32, n int64, integer bool) string {
	switch {
	case n >= int64(len(values)):
		return fmt.Sprintf("nothing: it has %d values", len(values))
	case integer:
		return fmt.Sprint(int32(values[n]))
	}
	return fmt.Sprintf("%v (%#08x)", math.Float32frombits(values[n]), values[n])
}

// Position reads a step: its number, after the name or number of its stage and
// a colon where the run has several stages.
func (r *Replayer) Position(text string) (verify.Position, error) {
	var p verify.Position
	stage, step, named := strings.Cut(text, ":")
	if !named {
		stage, step = "0", text
	}
	if !named && len(r.log.Stages) > 1 {
		return p, fmt.Errorf("%q: the run has %d stages: want STAGE:STEP, such as %s:0", text, len(r.log.Stages), r.log.Stages[0].Name)
	}
	p.Stage = -1
	for i := range r.log.Stages {
		if s := &r.log.Stages[i]; s.Name == stage || strconv.Itoa(i) == stage {
			p.Stage = i
			break
		}
	}
	if p.Stage < 0 {
		return p, fmt.Errorf("%q: the run has no stage %q", text, stage)
	}
	var err error
	if p.Step, err = strconv.ParseInt(step, 10, 64); err != nil || p.Step < 0 || p.Step >= r.steps(p.Stage) {
		return p, fmt.Errorf("%q: stage %s has steps 0 to %d", text, stage, r.steps(p.Stage)-1)
	}
	return p, nil
}
