package replay

import (
	"bytes"

	"github.com/temper-ml/temper/report/record/trace"
	"github.com/temper-ml/temper/train"
)

// SetTouch has operators of every step changed: how tests make faults.
func (r *Replayer) SetTouch(f func(trace.Operator, train.Values)) { r.touch = f }

// Steps is how many steps of the present stage have been taken.
func (r *Replayer) Steps() int64 {
	taken, _ := r.part.Trainer.Steps()
	return taken
}

// CheckValues reads a file of values.
func CheckValues(b []byte) error {
	_, _, _, err := readValues(bytes.NewReader(b))
	return err
}
