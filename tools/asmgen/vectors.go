package main

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// isa is an instruction set as the generators of this package see it: its
// name in symbols and the width of its registers.
type isa struct {
	name  string
	lanes int // float32 per register
}

var (
	avx512 = isa{"AVX512", 16}
	avx2   = isa{"AVX2", 8}
)

// vec returns a fresh register of the set's width.
func (s isa) vec(c *build.Context) reg.VecVirtual {
	if s.lanes == 16 {
		return c.ZMM()
	}
	return c.YMM()
}

// zero sets v to +0 in all lanes.
func (s isa) zero(c *build.Context, v reg.VecVirtual) {
	if s.lanes == 16 {
		c.VPXORD(v, v, v)
	} else {
		c.VXORPS(v, v, v)
	}
}

// at is the memory operand disp bytes after base.
func at(base reg.Register, disp int) operand.Mem { return operand.Mem{Base: base, Disp: disp} }

// step is the memory operand disp bytes after base + n*by, n being 0, 1 or 2.
func step(base, by reg.Register, n, disp int) operand.Mem {
	m := at(base, disp)
	if n > 0 {
		m.Index, m.Scale = by, uint8(n)
	}
	return m
}
