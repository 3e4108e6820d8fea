package train

import (
	"slices"

	"github.com/temper-ml/temper/compute/kernel"
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/report/record/digest"
)

// Digests say what a step was made of and what it left behind; docs/digests.md
// defines them. They do not depend on ranks, threads or instruction set.
type Digests struct {
	// Batch is of the step's rows in canonical order.
	Batch digest.Digest `json:"batch"`
	// Parameters and Optimizer are of the blocks that the step covers, after it.
	Parameters digest.Digest `json:"parameters"`
	Optimizer  digest.Digest `json:"optimizer"`
	// Bias is of all routers' selection biases, after the step.
	Bias digest.Digest `json:"bias"`
}

// updates is the optimizer's step counter as a tensor of two words, the low one first.
const updates = "updates"

// digestPiece is how many covered blocks a thread takes at a time.
const digestPiece = 64

// digester takes the digests of a trainer's steps.
type digester struct {
	parameters, optimizer, bias *digest.State
	pieces                      []piece
	add                         func(lo, hi int) // adds pieces; made once, so that steps do not allocate it
	counter                     [2]int32
}

// piece is a run of whole blocks of a tensor.
type piece struct {
	state  *digest.State
	name   string
	offset int
	values []float32
}

// Digest asks for digests of every step from the next on. They cover one block
// in period of the parameters and the optimizer's state, other ones each step,
// and all of them in period steps; the batch and the routers' biases always. They change
// no result.
func (t *Trainer) Digest(period int) error {
	var parameters, slots, biases []named
	for _, p := range t.model.Params() {
		parameters = append(parameters, named{p.Name, p.Data})
		if p.Role == arch.GateBias {
			biases = append(biases, named{p.Name, p.Data})
		}
	}
	for _, s := range t.optimizer.Slots() {
		slots = append(slots, named{s.Name, s.Data})
	}
	d := &digester{}
	for _, g := range []struct {
		state  **digest.State
		list   []named
		extra  []digest.Tensor
		period int
	}{
		{&d.parameters, parameters, nil, period},
		{&d.optimizer, slots, []digest.Tensor{{Name: updates, Integer: true, Size: 2}}, period},
		{&d.bias, biases, nil, 1},
	} {
		var err error
		if *g.state, err = d.group(g.list, g.extra, g.period); err != nil {
			return err
		}
	}
	d.add = d.addPieces
	t.digests = d
	return nil
}

// State returns the digests of the complete parameters and optimizer state as
// they are now, and of the biases. There is no batch.
func (t *Trainer) State() (Digests, error) {
	whole := *t
	if err := whole.Digest(1); err != nil {
		return Digests{}, err
	}
	d := whole.digests.step(0, nil, t.optimizer.Steps())
	d.Batch = digest.Digest{}
	return d, nil
}

// ParametersDigest is the digest of all parameters of a model, as
// Digests.Parameters has it with a period of 1.
func ParametersDigest(m *deepseek.Model) (digest.Digest, error) {
	d := &digester{}
	var list []named
	for _, p := range m.Params() {
		list = append(list, named{p.Name, p.Data})
	}
	s, err := d.group(list, nil, 1)
	if err != nil {
		return digest.Digest{}, err
	}
	kernel.Parallel(len(d.pieces), 1, d.addPieces)
	return s.Sum()
}

// TensorDigests are the digests of a model's parameters one by one, by name:
// each that of a state of one tensor.
func TensorDigests(m *deepseek.Model) (map[string]digest.Digest, error) {
	d := &digester{}
	states := map[string]*digest.State{}
	for _, p := range m.Params() {
		var err error
		if states[p.Name], err = d.group([]named{{p.Name, p.Data}}, nil, 1); err != nil {
			return nil, err
		}
	}
	kernel.Parallel(len(d.pieces), 1, d.addPieces)
	out := map[string]digest.Digest{}
	for name, s := range states {
		out[name] = sum(s)
	}
	return out, nil
}

// named is a float32 tensor.
type named struct {
	name   string
	values []float32
}

// group makes a state of a list of tensors, and its pieces.
func (d *digester) group(list []named, extra []digest.Tensor, period int) (*digest.State, error) {
	for _, n := range list {
		extra = append(extra, digest.Tensor{Name: n.name, Size: int64(len(n.values))})
	}
	l, err := digest.NewLayout(extra, period)
	if err != nil {
		return nil, err
	}
	s := digest.NewState(l)
	size := digestPiece * digest.Block * period
	for _, n := range list {
		for lo := 0; lo < len(n.values); lo += size {
			d.pieces = append(d.pieces, piece{s, n.name, lo, n.values[lo:min(len(n.values), lo+size)]})
		}
	}
	return s, nil
}

// step returns the digests after a step over rows.
func (d *digester) step(step int64, rows []Row, count int64) Digests {
	for _, s := range []*digest.State{d.parameters, d.optimizer, d.bias} {
		s.Reset(step)
	}
	kernel.Parallel(len(d.pieces), 1, d.add)
	d.counter = [2]int32{int32(count), int32(count >> 32)}
	must(d.optimizer.AddInts(updates, 0, d.counter[:]))
	return Digests{BatchDigest(rows), sum(d.parameters), sum(d.optimizer), sum(d.bias)}
}

func (d *digester) addPieces(lo, hi int) {
	for _, p := range d.pieces[lo:hi] {
		must(p.state.Add(p.name, int64(p.offset), p.values))
	}
}

func sum(s *digest.State) digest.Digest {
	d, err := s.Sum()
	must(err)
	return d
}

// must holds since the layouts are of the very tensors that are added.
func must(err error) {
	if err != nil {
		panic("train: " + err.Error())
	}
}

// BatchDigest is the digest of a step's rows in canonical order.
func BatchDigest(rows []Row) digest.Digest {
	list := make([]digest.Digest, len(rows))
	for i := range rows {
		list[i] = rows[i].Digest()
	}
	return digest.List("batch", list)
}

// Digest is the digest of all that the model sees of a row: tokens, labels, MTP
// labels, where its segments start and end, and routes if some are given.
func (r *Row) Digest() digest.Digest {
	d := r.material()
	if !r.Routed() {
		return d
	}
	list := []digest.Digest{d}
	for _, x := range r.Routes {
		list = append(list, RoutesDigest(x))
	}
	return digest.List("routed row", list)
}

// RoutesDigest is the digest of a segment's routes, of no lists if there are none.
func RoutesDigest(r *deepseek.Routes) digest.Digest {
	var lists [][]int32
	if r != nil {
		lists = slices.Concat(r.Experts, r.Picks, r.Starts)
	}
	return digest.Ints("routes", lists...)
}

func (r *Row) material() digest.Digest {
	var starts, ends []int32
	for _, s := range r.Segments {
		starts, ends = append(starts, int32(s.Start)), append(ends, int32(s.End))
	}
	return digest.Ints("row", r.Tokens, r.Labels, r.MTPLabels, starts, ends)
}
