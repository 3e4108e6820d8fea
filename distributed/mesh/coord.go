package mesh

import "fmt"

// Coord is the place of one rank on every axis. TP, CP, DP and PP decide the
// rank; ETP, EP and EDP are the same place counted on the expert axes.
type Coord struct {
	TP, CP, DP, PP, ETP, EP, EDP int
}

// Coord returns the coordinates of a rank.
func (m Mesh) Coord(rank int) (Coord, error) {
	if err := m.Check(); err != nil {
		return Coord{}, err
	}
	if w := m.World(); rank < 0 || rank >= w {
		return Coord{}, fmt.Errorf("mesh: rank is %d, must lie in 0..%d, nearest legal value %d", rank, w-1, min(max(rank, 0), w-1))
	}
	return Coord{
		TP: m.place(TP, rank), CP: m.place(CP, rank), DP: m.place(DP, rank), PP: m.place(PP, rank),
		ETP: m.place(ETP, rank), EP: m.place(EP, rank), EDP: m.place(EDP, rank),
	}, nil
}

func (m Mesh) place(a Axis, rank int) int {
	stride, size := m.span(a)
	return rank / stride % size
}

// Rank returns the rank at the coordinates TP, CP, DP and PP; the expert
// coordinates are not read.
func (m Mesh) Rank(c Coord) (int, error) {
	if err := m.Check(); err != nil {
		return 0, err
	}
	for _, p := range [...]struct {
		name          string
		place, degree int
	}{{"tp", c.TP, m.TP}, {"cp", c.CP, m.CP}, {"dp", c.DP, m.DP}, {"pp", c.PP, m.PP}} {
		if p.place < 0 || p.place >= p.degree {
			return 0, fmt.Errorf("mesh: coordinate %s is %d, must lie in 0..%d, nearest legal value %d",
				p.name, p.place, p.degree-1, min(max(p.place, 0), p.degree-1))
		}
	}
	return c.TP + m.TP*(c.CP+m.CP*(c.DP+m.DP*c.PP)), nil
}
