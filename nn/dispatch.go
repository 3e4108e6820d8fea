package nn

import "github.com/temper-ml/temper/compute/kernel"

// Dispatcher moves token rows to where their experts are and the experts'
// results back. [LocalDispatcher] serves experts that all live here; expert
// parallelism puts an all-to-all behind the same calls. Any implementation must
// present each expert its tokens in global token order and must add a token's
// results in ascending expert order: then every layout gives the same bits.
//
// "Expert rows" are the rows computed here, grouped by local expert; "pairs" are
// this rank's own (token, expert) pairs in the row order of its [Routing].
type Dispatcher interface {
	// Place tells the expert rows: start[e] to start[e+1]-1 are those of the
	// e-th expert held here. The slice may come from the arena.
	Place(rt *Routing, a *Arena) (start []int32)
	// Scatter fills the expert rows, dim values each, from x [T, dim].
	Scatter(rows, x []float32, rt *Routing, dim int)
	// Combine adds each token's expert rows to out [T, dim].
	Combine(out, rows []float32, rt *Routing, dim int)
	// ScatterPairs fills one value per expert row from one value per pair.
	ScatterPairs(rows, pairs []float32, rt *Routing)
	// CollectPairs is the way back of ScatterPairs.
	CollectPairs(pairs, rows []float32, rt *Routing)
}

// LocalDispatcher is the [Dispatcher] of a single rank: copies within memory.
type LocalDispatcher struct{}

// Place returns the routing's own rows.
func (LocalDispatcher) Place(rt *Routing, _ *Arena) []int32 { return rt.Start }

// Scatter copies each row's token.
func (LocalDispatcher) Scatter(rows, x []float32, rt *Routing, dim int) {
	kernel.GatherRows(rows, x, rt.Token, dim)
}

// Combine adds each token's rows, experts ascending.
func (LocalDispatcher) Combine(out, rows []float32, rt *Routing, dim int) {
	kernel.CombineRows(out, rows, rt.Row, rt.TopK, dim)
}

// ScatterPairs copies: on one rank, pairs are expert rows.
func (LocalDispatcher) ScatterPairs(rows, pairs []float32, _ *Routing) { copy(rows, pairs) }

// CollectPairs copies: on one rank, pairs are expert rows.
func (LocalDispatcher) CollectPairs(pairs, rows []float32, _ *Routing) { copy(pairs, rows) }
