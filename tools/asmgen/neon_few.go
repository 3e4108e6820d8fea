package main

import "fmt"

// armFewRows is the most rows of the microkernels for few rows: their chains, eight
// rows of B, these transposed, and what is spread fill the registers.
const armFewRows = 4

// fewsNEON makes the microkernels for few rows of A: see few for amd64. The eight
// rows of B that make a panel are read four steps of k at a time.
func fewsNEON() *arm {
	a := new(arm)
	for m := 1; m <= armFewRows; m++ {
		a.few(m)
	}
	return a
}

// Registers of the microkernels for few rows, besides those of tiles: R1 to R8 walk
// along rows of B, and V0 to V7 are the chains.
const (
	armFewA   = "R9"
	armFewRow = 8  // V8 to V15: rows of B, then columns
	armFewTmp = 16 // V16 to V19
)

// few makes one microkernel.
func (a *arm) few(m int) {
	a.function(fmt.Sprintf("few%dx8NEON", m), "t *byte", "//go:noescape\n")
	a.op("MOVD t+0(FP), %s", armTile)
	for _, f := range []struct {
		offset int
		to     string
	}{
		{tileB, armPanel},
		{tilePanelStep, armPanelStep},
		{tileC, armTileC},
		{tileLdC, armLdC},
		{tileK, armSteps},
		{tilePanels, armPanels},
		{tileLoad, armLoad},
	} {
		a.op("MOVD %d(%s), %s", f.offset, armTile, f.to)
	}
	a.label("panel")
	a.op("MOVD %d(%s), %s", tileA, armTile, armFewA)
	a.op("MOVD %s, R1", armPanel)
	for i := 1; i < 8; i++ {
		a.op("ADD %s, R%d, R%d", armPanelStep, i, i+1)
	}
	a.op("CBZ %s, zero", armLoad)
	a.eachRow(m, func(i int) { a.op("VLD1 (%s), [%s]", armC, accs(i, 2)) })
	a.op("B started")
	a.label("zero")
	for v := range 2 * m {
		a.op("VEOR V%d.B16, V%d.B16, V%d.B16", v, v, v)
	}
	a.label("started")
	a.op("MOVD %s, %s", armSteps, armK)
	a.label("steps")
	a.fourSteps(m)
	a.op("SUBS $4, %s, %s", armK, armK)
	a.op("BNE steps")
	a.eachRow(m, func(i int) { a.op("VST1 [%s], (%s)", accs(i, 2), armC) })
	a.op("ADD $32, %s, %s", armTileC, armTileC)
	a.op("ADD %s<<3, %s, %s", armPanelStep, armPanel, armPanel)
	a.op("SUBS $1, %s, %s", armPanels, armPanels)
	a.op("BNE panel")
	a.op("RET")
}

// fourSteps does four steps of k.
func (a *arm) fourSteps(m int) {
	for i := range 8 {
		a.op("VLD1.P 16(R%d), [V%d.S4]", i+1, armFewRow+i)
	}
	for r := armFewRow; r < armFewRow+8; r += 4 {
		for pair := range 2 {
			lo, hi := r+2*pair, r+2*pair+1
			a.op("VTRN1 V%d.S4, V%d.S4, V%d.S4", hi, lo, armFewTmp+2*pair)
			a.op("VTRN2 V%d.S4, V%d.S4, V%d.S4", hi, lo, armFewTmp+2*pair+1)
		}
		for odd := range 2 {
			a.op("VTRN1 V%d.D2, V%d.D2, V%d.D2", armFewTmp+2+odd, armFewTmp+odd, r+odd)
			a.op("VTRN2 V%d.D2, V%d.D2, V%d.D2", armFewTmp+2+odd, armFewTmp+odd, r+2+odd)
		}
	}
	for k := range 4 {
		for i := range m {
			spread := armSpreadV + i%4
			a.op("VLD1R.P 4(%s), [V%d.S4]", armFewA, spread)
			for j := range 2 {
				a.op("VFMLA V%d.S4, V%d.S4, V%d.S4", armFewRow+4*j+k, spread, i*2+j)
			}
		}
	}
}
