package hf

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/temper-ml/temper/compute/dtype"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/train/checkpoint/safetensors"
)

// entry is where a parameter lies.
type entry struct {
	tensor   *arch.Tensor
	info     *safetensors.Info
	file     *safetensors.File
	firstRow int // of the parameter within the stored tensor, counted in rows of the parameter
	scale    *scales
	block    int // side of the square under one FP8 scale
	experts  int // bound of the values of a hash table
}

// scales are what quantised values are multiplied by.
type scales struct {
	info *safetensors.Info
	file *safetensors.File
}

// fit holds the scales to the matrix they belong to.
func (s *scales) fit(rows, cols int, packed bool, block int) error {
	want := []int{(rows + block - 1) / block, (cols + block - 1) / block}
	legal := []dtype.DType{dtype.F8E8M0, dtype.F32}
	if packed {
		want, legal = []int{rows, cols / 32}, legal[:1]
		if cols%32 != 0 {
			return fmt.Errorf("it is packed FP4 with %d columns, want a multiple of 32", cols)
		}
	}
	if !slices.Equal(s.info.Shape, want) || !slices.Contains(legal, s.info.DType) {
		return fmt.Errorf("its scale %q is %v %v, want %v of type %v", s.info.Name, s.info.DType, s.info.Shape, want, legal)
	}
	return nil
}

// read converts rows [row, row+rows) of the parameter to float32.
func (e *entry) read(row, rows int, dst []float32) error {
	cols := e.tensor.Cols()
	if row < 0 || row+rows > e.tensor.Rows() || len(dst) != rows*cols {
		return fmt.Errorf("hf: rows %d to %d of %q (%d rows of %d), with room for %d values", row, row+rows, e.tensor.Name, e.tensor.Rows(), cols, len(dst))
	}
	perRow := int64(cols) * int64(e.info.DType.Size())
	if e.packed() {
		perRow /= 2
	}
	raw := make([]byte, perRow*int64(rows))
	if err := e.file.ReadAt(e.info, raw, int64(e.firstRow+row)*perRow); err != nil {
		return err
	}
	if e.scale != nil {
		return e.dequantise(raw, row, rows, dst)
	}
	return e.convert(raw, dst)
}

func (e *entry) packed() bool { return e.info.DType == dtype.I8 || e.info.DType == dtype.U8 }

// convert widens plain values.
func (e *entry) convert(raw []byte, dst []float32) error {
	switch e.info.DType {
	case dtype.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
	case dtype.BF16:
		for i := range dst {
			dst[i] = dtype.BF16ToF32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case dtype.F16:
		for i := range dst {
			dst[i] = dtype.F16ToF32(binary.LittleEndian.Uint16(raw[2*i:]))
		}
	case dtype.F64:
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
	case dtype.I64:
		for i := range dst {
			if err := e.expert(dst, i, int64(binary.LittleEndian.Uint64(raw[8*i:]))); err != nil {
				return err
			}
		}
	case dtype.I32:
		for i := range dst {
			if err := e.expert(dst, i, int64(int32(binary.LittleEndian.Uint32(raw[4*i:])))); err != nil {
				return err
			}
		}
	}
	return nil
}

// expert stores the number of an expert, which must exist.
func (e *entry) expert(dst []float32, i int, n int64) error {
	if n < 0 || n >= int64(e.experts) {
		return fmt.Errorf("hf: tensor %q in %s names expert %d, want 0 to %d", e.info.Name, e.file.Path(), n, e.experts-1)
	}
	dst[i] = float32(n)
	return nil
}

// dequantise multiplies FP8 blocks or FP4 groups by their scales.
func (e *entry) dequantise(raw []byte, row, rows int, dst []float32) error {
	cols := e.tensor.Cols()
	first, n, width := row, rows, cols/32
	if !e.packed() {
		if row%e.block != 0 {
			return fmt.Errorf("hf: row %d of %q, want a multiple of the %d rows under one scale", row, e.tensor.Name, e.block)
		}
		first, n, width = row/e.block, (rows+e.block-1)/e.block, (cols+e.block-1)/e.block
	}
	size := e.scale.info.DType.Size()
	scale := make([]byte, n*width*size)
	if err := e.scale.file.ReadAt(e.scale.info, scale, int64(first)*int64(width*size)); err != nil {
		return err
	}
	switch {
	case e.packed():
		dtype.DequantFP4(dst, raw, scale, rows, cols)
	case e.scale.info.DType == dtype.F8E8M0:
		dtype.DequantFP8E8M0(dst, raw, scale, rows, cols, e.block)
	default:
		wide := make([]float32, n*width)
		for i := range wide {
			wide[i] = math.Float32frombits(binary.LittleEndian.Uint32(scale[4*i:]))
		}
		dtype.DequantFP8(dst, raw, wide, rows, cols, e.block)
	}
	return nil
}
