package mesh

import "fmt"

// MaxWorld is the largest number of ranks a mesh may have.
const MaxWorld = 1 << 24

// Mesh holds the degree of every axis. The degrees of the dense axes multiply
// to the number of ranks; EP and ETP fold over the ranks of one stage.
type Mesh struct {
	TP, CP, DP, PP, EP, ETP int
}

// World returns the number of ranks, TP*CP*DP*PP. It is meaningful for a mesh
// that passes Check.
func (m Mesh) World() int { return m.TP * m.CP * m.DP * m.PP }

// Block returns the number of ranks of one pipeline stage, TP*CP*DP.
func (m Mesh) Block() int { return m.TP * m.CP * m.DP }

// EDP returns the degree of expert data parallelism: how many ranks hold the
// same experts, TP*CP*DP/(ETP*EP).
func (m Mesh) EDP() int { return m.Block() / max(1, m.ETP*m.EP) }

// Degree returns the number of ranks in each group of an axis.
func (m Mesh) Degree(a Axis) int {
	_, size := m.span(a)
	return size
}

// String writes the degrees as flags do: "tp=2,cp=1,dp=4,pp=2,ep=4,etp=1".
func (m Mesh) String() string {
	return fmt.Sprintf("tp=%d,cp=%d,dp=%d,pp=%d,ep=%d,etp=%d", m.TP, m.CP, m.DP, m.PP, m.EP, m.ETP)
}

// Check reports the first rule the mesh breaks, with the values and the nearest
// legal one: every degree is at least 1, there are at most MaxWorld ranks, and
// ETP*EP divides TP*CP*DP.
func (m Mesh) Check() error {
	names := [...]string{"tp", "cp", "dp", "pp", "ep", "etp"}
	degrees := [...]int{m.TP, m.CP, m.DP, m.PP, m.EP, m.ETP}
	for i, d := range degrees {
		if d < 1 || d > MaxWorld {
			return fmt.Errorf("mesh: %s is %d, must lie in 1..%d, nearest legal value %d", names[i], d, MaxWorld, min(max(d, 1), MaxWorld))
		}
	}
	world := 1
	for i, d := range degrees[:4] {
		if world > MaxWorld/d {
			return fmt.Errorf("mesh: %s is %d, but tp*cp*dp*pp = %d*%d*%d*%d must be at most %d ranks, nearest legal value %d",
				names[i], d, m.TP, m.CP, m.DP, m.PP, MaxWorld, MaxWorld/world)
		}
		world *= d
	}
	return m.checkExperts()
}

// checkExperts checks that the expert axes tile the ranks of one stage.
func (m Mesh) checkExperts() error {
	block := m.Block()
	if block%m.ETP != 0 {
		return fmt.Errorf("mesh: etp is %d, must divide tp*cp*dp = %d*%d*%d = %d, nearest legal value %d",
			m.ETP, m.TP, m.CP, m.DP, block, nearestDivisor(block, m.ETP))
	}
	if rest := block / m.ETP; rest%m.EP != 0 {
		return fmt.Errorf("mesh: ep is %d, must divide tp*cp*dp/etp = %d*%d*%d/%d = %d, nearest legal value %d",
			m.EP, m.TP, m.CP, m.DP, m.ETP, rest, nearestDivisor(rest, m.EP))
	}
	return nil
}

// nearestDivisor returns the divisor of n closest to want, the smaller of two
// equally close ones.
func nearestDivisor(n, want int) int {
	best := 1
	for d := 1; d*d <= n; d++ {
		if n%d != 0 {
			continue
		}
		for _, c := range [2]int{d, n / d} {
			if near, at := distance(c, want), distance(best, want); near < at || near == at && c < best {
				best = c
			}
		}
	}
	return best
}

func distance(a, b int) int { return max(a-b, b-a) }
