// Package portable has the elementary functions of float64 whose results have
// the same bits on every architecture. Package math does not promise that: it
// has assembly for some of them on some machines, and a compiler may fuse the
// multiplications and additions of the others.
//
// The methods are FreeBSD's msun (Sun Microsystems, 1993), with every product
// rounded before it is added. Errors are below 1 ulp for [Exp] and [Log], and
// below 2 ulp for the functions made of them.
package portable
