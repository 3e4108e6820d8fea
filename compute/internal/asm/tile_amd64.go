//go:build amd64 && !noasm

package asm

// Gemm returns the microkernels of level l, or nil if it has none.
func Gemm(l Level) *Microkernels { return gemms[l] }

var gemms = [...]*Microkernels{AVX2: &gemmAVX2, AVX512: &gemmAVX512}

var gemmAVX512 = Microkernels{
	Rows: 12,
	Cols: 32,
	Tile: [2][2][]func(t *byte){
		ByRow: {
			{
				nil,
				tileRow1x32AVX512,
				tileRow2x32AVX512,
				tileRow3x32AVX512,
				tileRow4x32AVX512,
				tileRow5x32AVX512,
				tileRow6x32AVX512,
				tileRow7x32AVX512,
				tileRow8x32AVX512,
				tileRow9x32AVX512,
				tileRow10x32AVX512,
				tileRow11x32AVX512,
				tileRow12x32AVX512,
			},
			{
				nil,
				tileRow1x16AVX512,
				tileRow2x16AVX512,
				tileRow3x16AVX512,
				tileRow4x16AVX512,
				tileRow5x16AVX512,
				tileRow6x16AVX512,
				tileRow7x16AVX512,
				tileRow8x16AVX512,
				tileRow9x16AVX512,
				tileRow10x16AVX512,
				tileRow11x16AVX512,
				tileRow12x16AVX512,
			},
		},
		ByColumn: {
			{
				nil,
				tileCol1x32AVX512,
				tileCol2x32AVX512,
				tileCol3x32AVX512,
				tileCol4x32AVX512,
				tileCol5x32AVX512,
				tileCol6x32AVX512,
				tileCol7x32AVX512,
				tileCol8x32AVX512,
				tileCol9x32AVX512,
				tileCol10x32AVX512,
				tileCol11x32AVX512,
				tileCol12x32AVX512,
			},
			{
				nil,
				tileCol1x16AVX512,
				tileCol2x16AVX512,
				tileCol3x16AVX512,
				tileCol4x16AVX512,
				tileCol5x16AVX512,
				tileCol6x16AVX512,
				tileCol7x16AVX512,
				tileCol8x16AVX512,
				tileCol9x16AVX512,
				tileCol10x16AVX512,
				tileCol11x16AVX512,
				tileCol12x16AVX512,
			},
		},
	},
	Few:            []func(t *byte){nil, few1x16AVX512, few2x16AVX512, few3x16AVX512, few4x16AVX512, few5x16AVX512, few6x16AVX512, few7x16AVX512, few8x16AVX512, few9x16AVX512, few10x16AVX512, few11x16AVX512, few12x16AVX512, few13x16AVX512, few14x16AVX512, few15x16AVX512, few16x16AVX512},
	FewCols:        16,
	PackRows:       packPanels12,
	PackCols:       packPanels32,
	PackTransposed: packTransposed,
	CopyRows:       copyRows,
}

var gemmAVX2 = Microkernels{
	Rows: 6,
	Cols: 16,
	Tile: [2][2][]func(t *byte){
		ByRow: {
			{
				nil,
				tileRow1x16AVX2,
				tileRow2x16AVX2,
				tileRow3x16AVX2,
				tileRow4x16AVX2,
				tileRow5x16AVX2,
				tileRow6x16AVX2,
			},
			{
				nil,
				tileRow1x8AVX2,
				tileRow2x8AVX2,
				tileRow3x8AVX2,
				tileRow4x8AVX2,
				tileRow5x8AVX2,
				tileRow6x8AVX2,
			},
		},
		ByColumn: {
			{
				nil,
				tileCol1x16AVX2,
				tileCol2x16AVX2,
				tileCol3x16AVX2,
				tileCol4x16AVX2,
				tileCol5x16AVX2,
				tileCol6x16AVX2,
			},
			{
				nil,
				tileCol1x8AVX2,
				tileCol2x8AVX2,
				tileCol3x8AVX2,
				tileCol4x8AVX2,
				tileCol5x8AVX2,
				tileCol6x8AVX2,
			},
		},
	},
	Few:            []func(t *byte){nil, few1x8AVX2, few2x8AVX2, few3x8AVX2, few4x8AVX2},
	FewCols:        8,
	PackRows:       packPanels6,
	PackCols:       packPanels16,
	PackTransposed: packTransposed,
	CopyRows:       copyRows,
}
