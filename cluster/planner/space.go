package planner

import (
	"fmt"
	"slices"

	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/distributed/schedule"
)

// Space limits a search. An empty list leaves an axis free: every legal value is
// tried. Data parallelism is never listed, it follows from the rest.
type Space struct {
	TP, CP, PP, EP, ETP []int
	Chunks              []int // virtual chunks per stage
	MicroBatch          []int // sequences
	Schedules           []schedule.Kind
	Recompute           []string // none, selective, full
	Zero                []int    // 0 to 3
	Offload             []string // none, optimizer
}

// The reach of a free axis. What lies beyond is not part of the space: no
// engine splits a matrix over more ranks, or keeps more chunks on a stage.
const (
	maxTP         = 64
	maxCP         = 256
	maxChunks     = 16
	maxMicroBatch = 64
	maxMeshes     = 1 << 20
)

// variant is an order of the pipeline: a schedule with its number of chunks.
type variant struct {
	kind   schedule.Kind
	chunks int
}

// grid is the finite set of layouts of one search, enumerated: a layout is a
// mesh, a micro-batch size, and a leaf.
type grid struct {
	meshes    []mesh.Mesh
	micros    []int     // sizes in the order of place.micro
	variants  []variant // the same for every mesh
	recompute []string
	zero      []int
	offload   []string
}

// shape is what the size of a grid follows from.
type shape struct{ devices, layers, experts, batch int }

// newGrid enumerates the space in a fixed order.
func newGrid(s Space, n shape) (*grid, error) {
	g := &grid{
		micros:    microBatches(n.batch, s.MicroBatch),
		recompute: orElse(s.Recompute, "none", "selective", "full"),
		zero:      orElse(s.Zero, 0, 1, 2, 3),
		offload:   orElse(s.Offload, "none", "optimizer"),
	}
	for _, k := range orElse(s.Schedules, searched...) {
		least, most := chunksOf(k)
		for v := least; v <= min(most, max(least, n.layers/2)); v++ {
			if len(s.Chunks) == 0 || slices.Contains(s.Chunks, v) {
				g.variants = append(g.variants, variant{k, v})
			}
		}
	}
	if err := g.enumerate(s, n); err != nil {
		return nil, err
	}
	if len(g.meshes) == 0 || len(g.micros) == 0 || len(g.variants) == 0 {
		return nil, fmt.Errorf("planner: no layout of %d devices and %d sequences has the wanted degrees: loosen one of them", n.devices, n.batch)
	}
	if leaves := g.leaves(); leaves > 1<<16 {
		return nil, fmt.Errorf("planner: %d choices for each mesh, want at most %d", leaves, 1<<16)
	}
	return g, nil
}

// microBatches returns the sizes of a free search: what divides the global batch,
// powers of two beyond 8.
func microBatches(batch int, wish []int) []int {
	all := divisors(batch, maxMicroBatch)
	if len(wish) > 0 {
		return wanted(all, wish)
	}
	return slices.DeleteFunc(all, func(b int) bool { return b > 8 && b&(b-1) != 0 })
}

// searched are the schedules of a free search. GPipe is left out: 1F1B takes
// the same time with less memory.
var searched = []schedule.Kind{
	schedule.OneFOneB, schedule.Interleaved, schedule.ZBH1, schedule.ZBV, schedule.DualPipe, schedule.DualPipeV,
}

// chunksOf returns how few and how many chunks a schedule keeps on a stage.
func chunksOf(k schedule.Kind) (least, most int) {
	switch k {
	case schedule.Interleaved:
		return 2, maxChunks
	case schedule.ZBV, schedule.DualPipe, schedule.DualPipeV:
		return 2, 2
	}
	return 1, 1
}

// enumerate lists the meshes: all ways to write the devices as tp*cp*pp*dp with
// experts folded over the ranks of a stage.
func (g *grid) enumerate(s Space, n shape) error {
	eps := []int{1}
	if n.experts > 0 {
		eps = wanted(divisors(n.experts, min(n.experts, n.devices)), s.EP)
	}
	for _, tp := range wanted(divisors(n.devices, maxTP), s.TP) {
		etps := []int{1}
		if n.experts > 0 {
			etps = wanted(divisors(tp, tp), s.ETP)
		}
		for _, cp := range wanted(divisors(n.devices/tp, maxCP), s.CP) {
			for _, pp := range wanted(divisors(n.devices/tp/cp, n.layers), s.PP) {
				for _, ep := range eps {
					for _, etp := range etps {
						g.meshes = append(g.meshes, mesh.Mesh{TP: tp, CP: cp, DP: n.devices / tp / cp / pp, PP: pp, EP: ep, ETP: etp})
					}
				}
				if len(g.meshes) > maxMeshes {
					return fmt.Errorf("planner: more than %d meshes of %d devices: fix some degrees (--layout), or take a number of devices with fewer divisors", maxMeshes, n.devices)
				}
			}
		}
	}
	return nil
}

// leaves returns how many choices there are for one mesh and micro-batch.
func (g *grid) leaves() int {
	return len(g.recompute) * len(g.variants) * len(g.zero) * len(g.offload)
}

// size returns how many layouts there are.
func (g *grid) size() int64 {
	return int64(len(g.meshes)) * int64(len(g.micros)) * int64(g.leaves())
}

// leaf packs the choices of one leaf; unpack is its inverse.
func (g *grid) leaf(recompute, variant, zero, offload int) uint16 {
	return uint16(((recompute*len(g.variants)+variant)*len(g.zero)+zero)*len(g.offload) + offload)
}

func (g *grid) unpack(leaf uint16) (recompute, variant, zero, offload int) {
	i := int(leaf)
	offload, i = i%len(g.offload), i/len(g.offload)
	zero, i = i%len(g.zero), i/len(g.zero)
	return i / len(g.variants), i % len(g.variants), zero, offload
}

// orElse returns the list, or the defaults when it is empty.
func orElse[T any](list []T, defaults ...T) []T {
	if len(list) == 0 {
		return defaults
	}
	return list
}

// divisors returns the divisors of n that are at most limit, ascending.
func divisors(n, limit int) []int {
	var low, high []int
	for d := 1; d <= n/d; d++ {
		if n%d != 0 {
			continue
		}
		if d <= limit {
			low = append(low, d)
		}
		if e := n / d; e != d && e <= limit {
			high = append(high, e)
		}
	}
	slices.Reverse(high)
	return append(low, high...)
}

// wanted keeps the values that a wish list names; an empty list wishes for all.
func wanted(values, wish []int) []int {
	if len(wish) == 0 {
		return values
	}
	var out []int
	for _, v := range values {
		if slices.Contains(wish, v) {
			out = append(out, v)
		}
	}
	return out
}

// Schedules lists what a search tries when it is told to try every schedule:
// all but GPipe, which takes as long as 1F1B and needs more memory.
func Schedules() []schedule.Kind { return slices.Clone(searched) }
