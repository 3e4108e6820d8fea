package main

import (
	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peaks makes the loops that measure the FMA units: as many independent
// chains as registers allow, nothing else.
func peaks(c *build.Context) {
	peak(c, avx512, 24)
	peak(c, avx2, 12)
}

func peak(c *build.Context, s isa, chains int) {
	c.Function("peak" + s.name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr("func(rounds int)")
	rounds := c.GP64()
	c.Load(c.Param("rounds"), rounds)
	x := s.vec(c)
	s.zero(c, x)
	acc := make([]reg.VecVirtual, chains)
	for i := range acc {
		acc[i] = s.vec(c)
		s.zero(c, acc[i])
	}
	c.Label("round")
	for _, v := range acc {
		c.VFMADD231PS(x, x, v)
	}
	c.DECQ(rounds)
	c.JNZ(operand.LabelRef("round"))
	c.VZEROUPPER()
	c.RET()
}
