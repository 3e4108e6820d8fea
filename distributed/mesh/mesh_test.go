package mesh

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawMesh draws a legal mesh of at most a few thousand ranks.
func drawMesh(t *rapid.T) Mesh {
	degree := rapid.SampledFrom([]int{1, 1, 2, 3, 4, 6, 8})
	m := Mesh{
		TP: degree.Draw(t, "tp"), CP: degree.Draw(t, "cp"), DP: degree.Draw(t, "dp"),
		PP: rapid.IntRange(1, 5).Draw(t, "pp"),
	}
	m.ETP = rapid.SampledFrom(divisors(m.Block())).Draw(t, "etp")
	m.EP = rapid.SampledFrom(divisors(m.Block()/m.ETP)).Draw(t, "ep")
	return m
}

func divisors(n int) []int {
	var out []int
	for d := 1; d <= n; d++ {
		if n%d == 0 {
			out = append(out, d)
		}
	}
	return out
}

func TestRanksAndCoordinatesAreOneToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMesh(t)
		if err := m.Check(); err != nil {
			t.Fatal(err)
		}
		dense, expert := map[Coord]bool{}, map[Coord]bool{}
		for rank := range m.World() {
			c, err := m.Coord(rank)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := m.Rank(c); err != nil || back != rank {
				t.Fatalf("%v: rank %d has coordinates %+v, which are those of rank %d (%v)", m, rank, c, back, err)
			}
			if c.EP >= m.EP || c.ETP >= m.ETP || c.EDP >= m.EDP() {
				t.Fatalf("%v: rank %d has expert coordinates %+v", m, rank, c)
			}
			dense[Coord{TP: c.TP, CP: c.CP, DP: c.DP, PP: c.PP}] = true
			expert[Coord{ETP: c.ETP, EP: c.EP, EDP: c.EDP, PP: c.PP}] = true
		}
		if len(dense) != m.World() || len(expert) != m.World() {
			t.Fatalf("%v: %d ranks have %d dense and %d expert coordinates", m, m.World(), len(dense), len(expert))
		}
	})
}

// Each axis cuts the ranks into groups: every rank is in exactly one, and all
// its members name the same group.
func TestGroupsPartitionTheRanks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMesh(t)
		for _, a := range Axes() {
			member := make([]int, m.World())
			for rank := range m.World() {
				g := m.Group(a, rank)
				if g.Size != m.Degree(a) || g.Index(rank) < 0 || g.Rank(g.Index(rank)) != rank {
					t.Fatalf("%v: rank %d is not in its %v group %+v", m, rank, a, g)
				}
				if rank != g.First {
					continue
				}
				for i := range g.Size {
					member[g.Rank(i)]++
					if m.Group(a, g.Rank(i)) != g {
						t.Fatalf("%v: ranks %d and %d disagree on their %v group", m, rank, g.Rank(i), a)
					}
				}
			}
			for rank, n := range member {
				if n != 1 {
					t.Fatalf("%v: rank %d is in %d groups of %v", m, rank, n, a)
				}
			}
		}
	})
}

// What differs inside a group is the coordinate of its axis and nothing else.
func TestGroupsVaryTheirOwnAxisOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMesh(t)
		rank := rapid.IntRange(0, m.World()-1).Draw(t, "rank")
		mask := map[Axis]func(*Coord){
			TP:   func(c *Coord) { c.TP = 0 },
			CP:   func(c *Coord) { c.CP = 0 },
			DP:   func(c *Coord) { c.DP = 0 },
			DPCP: func(c *Coord) { c.DP, c.CP = 0, 0 },
			PP:   func(c *Coord) { c.PP = 0 },
		}
		maskExpert := map[Axis]func(*Coord){
			ETP: func(c *Coord) { c.ETP = 0 },
			EP:  func(c *Coord) { c.EP = 0 },
			EDP: func(c *Coord) { c.EDP = 0 },
		}
		for _, a := range Axes() {
			g := m.Group(a, rank)
			first, _ := m.Coord(g.First)
			for i := range g.Size {
				c, _ := m.Coord(g.Rank(i))
				want, have := first, c
				if f, ok := mask[a]; ok {
					want.ETP, want.EP, want.EDP, have.ETP, have.EP, have.EDP = 0, 0, 0, 0, 0, 0
					f(&want)
					f(&have)
				} else if f, ok := maskExpert[a]; ok {
					want.TP, want.CP, want.DP, have.TP, have.CP, have.DP = 0, 0, 0, 0, 0, 0
					f(&want)
					f(&have)
				} else {
					continue // all
				}
				if want != have {
					t.Fatalf("%v: ranks %d and %d of one %v group are at %+v and %+v", m, g.First, g.Rank(i), a, first, c)
				}
			}
		}
	})
}

func TestExpertsFoldOverTheSameRanks(t *testing.T) {
	m := Mesh{TP: 2, CP: 1, DP: 4, PP: 2, EP: 4, ETP: 1}
	if m.World() != 16 || m.Block() != 8 || m.EDP() != 2 {
		t.Fatalf("%v: world %d, block %d, edp %d", m, m.World(), m.Block(), m.EDP())
	}
	for _, c := range []struct {
		axis Axis
		want Group
	}{
		{TP, Group{4, 1, 2}},
		{DP, Group{1, 2, 4}},
		{DPCP, Group{1, 2, 4}},
		{PP, Group{5, 8, 2}},
		{EP, Group{4, 1, 4}},
		{EDP, Group{1, 4, 2}},
		{All, Group{0, 1, 16}},
		{None, Group{5, 1, 1}},
	} {
		if got := m.Group(c.axis, 5); got != c.want {
			t.Errorf("group %v of rank 5 is %+v, want %+v", c.axis, got, c.want)
		}
	}
}

func TestIllegalMeshesNameTheRule(t *testing.T) {
	ok := Mesh{TP: 2, CP: 1, DP: 6, PP: 2, EP: 4, ETP: 1}
	for _, c := range []struct {
		change func(*Mesh)
		want   string
	}{
		{func(m *Mesh) { m.DP = 0 }, "mesh: dp is 0, must lie in 1..16777216, nearest legal value 1"},
		{func(m *Mesh) { m.TP = -8 }, "mesh: tp is -8, must lie in 1..16777216, nearest legal value 1"},
		{func(m *Mesh) { m.EP = 8 }, "mesh: ep is 8, must divide tp*cp*dp/etp = 2*1*6/1 = 12, nearest legal value 6"},
		{func(m *Mesh) { m.EP = 1 << 24 }, "mesh: ep is 16777216, must divide tp*cp*dp/etp = 2*1*6/1 = 12, nearest legal value 12"},
		{func(m *Mesh) { m.ETP = 5 }, "mesh: etp is 5, must divide tp*cp*dp = 2*1*6 = 12, nearest legal value 4"},
		{func(m *Mesh) { m.DP = 1 << 23; m.PP = 4 }, "mesh: pp is 4, but tp*cp*dp*pp = 2*1*8388608*4 must be at most 16777216 ranks, nearest legal value 1"},
		{func(m *Mesh) { m.DP = 1 << 30 }, "mesh: dp is 1073741824, must lie in 1..16777216, nearest legal value 16777216"},
	} {
		m := ok
		c.change(&m)
		if err := m.Check(); err == nil || err.Error() != c.want {
			t.Errorf("%v: %v\nwant %s", m, err, c.want)
		}
	}
	if err := ok.Check(); err != nil {
		t.Error(err)
	}
}

func TestRanksAndCoordinatesOutsideAreRefused(t *testing.T) {
	m := Mesh{TP: 2, CP: 1, DP: 4, PP: 2, EP: 1, ETP: 1}
	for _, rank := range []int{-1, 16} {
		if _, err := m.Coord(rank); err == nil || !strings.Contains(err.Error(), "0..15") {
			t.Errorf("rank %d: %v", rank, err)
		}
	}
	if _, err := m.Rank(Coord{DP: 4}); err == nil || err.Error() != "mesh: coordinate dp is 4, must lie in 0..3, nearest legal value 3" {
		t.Error(err)
	}
	if _, err := (Mesh{}).Coord(0); err == nil {
		t.Error("an empty mesh has no ranks")
	}
	if g := (Mesh{}).Group(EP, 3); g != (Group{3, 1, 1}) {
		t.Errorf("a rank of an empty mesh is alone, not in %+v", g)
	}
}

func TestAxesHaveNames(t *testing.T) {
	for _, a := range Axes() {
		if back, err := ParseAxis(a.String()); err != nil || back != a {
			t.Errorf("axis %v is read back as %v (%v)", a, back, err)
		}
	}
	if _, err := ParseAxis("fsdp"); err == nil {
		t.Error("fsdp is no axis")
	}
}

// FuzzCheck: whatever the degrees, Check answers, and what it accepts is whole.
func FuzzCheck(f *testing.F) {
	f.Add(2, 1, 4, 2, 4, 1)
	f.Add(0, -1, 1<<30, 7, 3, 2)
	f.Fuzz(func(t *testing.T, tp, cp, dp, pp, ep, etp int) {
		m := Mesh{tp, cp, dp, pp, ep, etp}
		if m.Check() != nil {
			m.Group(EDP, 0)
			return
		}
		if m.World() < 1 || m.World() > MaxWorld || m.ETP*m.EP*m.EDP() != m.Block() {
			t.Fatalf("%v passes with %d ranks", m, m.World())
		}
	})
}
