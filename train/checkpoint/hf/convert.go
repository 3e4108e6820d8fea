package hf

import (
	"context"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/model/arch"
)

// Convert writes a copy of the model in another dtype or naming style, tokenizer
// files included. When the context ends nothing is left behind.
func Convert(ctx context.Context, fs durable.FS, path string, from *Source, o Options) error {
	if o.CopyFrom == "" {
		o.CopyFrom = from.Path()
	}
	return Write(fs, path, from.Config, o, func(t *arch.Tensor, row, rows int, dst []float32) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return from.ReadRows(t, row, rows, dst)
	})
}

// WriteSlices writes a model that lies in memory, one slice per parameter.
func WriteSlices(fs durable.FS, path string, c *arch.Config, o Options, data func(t *arch.Tensor) ([]float32, error)) error {
	return Write(fs, path, c, o, func(t *arch.Tensor, row, rows int, dst []float32) error {
		src, err := data(t)
		if err != nil {
			return err
		}
		copy(dst, src[row*t.Cols():(row+rows)*t.Cols()])
		return nil
	})
}
