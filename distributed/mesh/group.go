package mesh

import "fmt"

// Axis names a way of grouping ranks.
type Axis uint8

// The axes. DPCP joins dp and cp: the group over which gradients of dense
// parameters are reduced and their optimizer state is sharded. All holds every
// rank: the group of the global gradient norm.
const (
	None Axis = iota // no group: the rank alone
	TP
	CP
	DP
	PP
	EP
	EDP
	ETP
	DPCP
	All
	axes
)

var axisNames = [axes]string{"none", "tp", "cp", "dp", "pp", "ep", "edp", "etp", "dpcp", "all"}

// Axes lists every axis that groups ranks, in a fixed order.
func Axes() []Axis { return []Axis{TP, CP, DP, PP, EP, EDP, ETP, DPCP, All} }

// String returns the lower-case name of the axis.
func (a Axis) String() string {
	if a >= axes {
		return fmt.Sprintf("axis(%d)", uint8(a))
	}
	return axisNames[a]
}

// ParseAxis returns the axis of a name such as "ep".
func ParseAxis(name string) (Axis, error) {
	for a, n := range axisNames {
		if n == name {
			return Axis(a), nil
		}
	}
	return None, fmt.Errorf("mesh: no axis is called %q, the axes are %v", name, Axes())
}

// Group is a regular set of ranks: First, First+Stride, ..., Size of them.
type Group struct {
	First, Stride, Size int
}

// Rank returns the i-th rank of the group.
func (g Group) Rank(i int) int { return g.First + i*g.Stride }

// Last returns the highest rank of the group.
func (g Group) Last() int { return g.Rank(g.Size - 1) }

// Index returns the place of a rank in the group, or -1 when it is no member.
func (g Group) Index(rank int) int {
	off, stride := rank-g.First, max(1, g.Stride)
	if off < 0 || off%stride != 0 || off/stride >= g.Size {
		return -1
	}
	return off / stride
}

// span returns the stride and the size of the groups of an axis.
func (m Mesh) span(a Axis) (stride, size int) {
	switch a {
	case TP:
		return 1, m.TP
	case CP:
		return m.TP, m.CP
	case DP:
		return m.TP * m.CP, m.DP
	case PP:
		return m.Block(), m.PP
	case ETP:
		return 1, m.ETP
	case EP:
		return m.ETP, m.EP
	case EDP:
		return m.ETP * m.EP, m.EDP()
	case DPCP:
		return m.TP, m.CP * m.DP
	case All:
		return 1, m.World()
	}
	return 1, 1
}

// Group returns the group of an axis that the rank belongs to. It is meaningful
// for a mesh that passes Check and a rank in 0..World()-1.
func (m Mesh) Group(a Axis, rank int) Group {
	stride, size := m.span(a)
	if stride < 1 || size < 1 {
		return Group{First: rank, Stride: 1, Size: 1}
	}
	place := rank / stride % size
	return Group{First: rank - place*stride, Stride: stride, Size: size}
}
