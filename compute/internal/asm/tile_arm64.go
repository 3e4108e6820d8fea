//go:build arm64 && !noasm

package asm

import "unsafe"

// Gemm returns the microkernels of level l, or nil if it has none.
func Gemm(l Level) *Microkernels {
	if l == NEON {
		return &gemmNEON
	}
	return nil
}

var gemmNEON = Microkernels{
	Rows: 12,
	Cols: 8,
	Tile: [2][2][]func(t *byte){
		ByRow: {
			{
				nil,
				tileRow1x8NEON,
				tileRow2x8NEON,
				tileRow3x8NEON,
				tileRow4x8NEON,
				tileRow5x8NEON,
				tileRow6x8NEON,
				tileRow7x8NEON,
				tileRow8x8NEON,
				tileRow9x8NEON,
				tileRow10x8NEON,
				tileRow11x8NEON,
				tileRow12x8NEON,
			},
			{
				nil,
				tileRow1x4NEON,
				tileRow2x4NEON,
				tileRow3x4NEON,
				tileRow4x4NEON,
				tileRow5x4NEON,
				tileRow6x4NEON,
				tileRow7x4NEON,
				tileRow8x4NEON,
				tileRow9x4NEON,
				tileRow10x4NEON,
				tileRow11x4NEON,
				tileRow12x4NEON,
			},
		},
		ByColumn: {
			{
				nil,
				tileCol1x8NEON,
				tileCol2x8NEON,
				tileCol3x8NEON,
				tileCol4x8NEON,
				tileCol5x8NEON,
				tileCol6x8NEON,
				tileCol7x8NEON,
				tileCol8x8NEON,
				tileCol9x8NEON,
				tileCol10x8NEON,
				tileCol11x8NEON,
				tileCol12x8NEON,
			},
			{
				nil,
				tileCol1x4NEON,
				tileCol2x4NEON,
				tileCol3x4NEON,
				tileCol4x4NEON,
				tileCol5x4NEON,
				tileCol6x4NEON,
				tileCol7x4NEON,
				tileCol8x4NEON,
				tileCol9x4NEON,
				tileCol10x4NEON,
				tileCol11x4NEON,
				tileCol12x4NEON,
			},
		},
	},
	Few:            []func(t *byte){nil, few1x8NEON, few2x8NEON, few3x8NEON, few4x8NEON},
	FewCols:        8,
	PackRows:       packPanels[[12]float32],
	PackCols:       packPanels[[8]float32],
	PackTransposed: packTransposed,
	CopyRows:       copyRows,
}

// packPanels is Microkernels.PackRows and PackCols for rows of type R.
func packPanels[R any](dst, src *float32, panelStep, ld, k, panels int) {
	var row R
	width := int(unsafe.Sizeof(row))
	for i := range k {
		d, s := unsafe.Add(unsafe.Pointer(dst), i*width), unsafe.Add(unsafe.Pointer(src), i*ld)
		for p := range panels {
			*(*R)(unsafe.Add(d, p*panelStep)) = *(*R)(unsafe.Add(s, p*width))
		}
	}
}

// packTransposed is Microkernels.PackTransposed, without the prefetching.
func packTransposed(dst, src *float32, dstStep, ld, k, _ int) {
	var rows [8][]float32
	for i := range rows {
		rows[i] = unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(src), i*ld)), k)
	}
	for i := range k {
		d := (*[8]float32)(unsafe.Add(unsafe.Pointer(dst), i*dstStep))
		for j := range d {
			d[j] = rows[j][i]
		}
	}
}

// copyRows is Microkernels.CopyRows, without the prefetching.
func copyRows(dst, src *float32, dstStep, ld, k, rows, _ int) {
	for i := range rows {
		d, s := unsafe.Add(unsafe.Pointer(dst), i*dstStep), unsafe.Add(unsafe.Pointer(src), i*ld)
		copy(unsafe.Slice((*float32)(d), k), unsafe.Slice((*float32)(s), k))
	}
}
