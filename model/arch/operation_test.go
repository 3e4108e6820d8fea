package arch

import (
	"math"
	"testing"
)

// works are what the two counts are held against each other on: lengths at the edges
// of windows, blocks and choices, packs, both losses, masks.
func works() []Work {
	var out []Work
	for _, lengths := range [][]int{{1}, {3}, {4}, {127, 128, 129}, {300, 1, 129}, {5000, 7}, {4096 + 8}} {
		for _, mtp := range []bool{false, true} {
			for _, learn := range []bool{false, true} {
				out = append(out, Work{Lengths: lengths, MTP: mtp, IndexerLoss: learn})
				out = append(out, Work{Lengths: lengths, MTP: mtp, IndexerLoss: learn, Supervised: []int64{2, 1}})
			}
		}
	}
	return out
}

// The sum over single products, from the table of parameters and key by key, equals
// the closed forms of the ledger exactly, line by line and pass by pass, for every
// model; and nothing is wanted that is not executed.
func TestOperationsEqualLedger(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		for _, w := range works() {
			forward, backward := make(map[string]float64), make(map[string]float64)
			for _, o := range c.Operations(w) {
				if o.Wanted > o.Executed() {
					t.Fatalf("%s %+v: %+v wants more than it executes", name, w, o)
				}
				if o.Pass == Forward {
					forward[o.Operator] += 2 * float64(o.Wanted)
				} else {
					backward[o.Operator] += 2 * float64(o.Wanted)
				}
			}
			for _, l := range c.Ledger(w) {
				if forward[l.Operator] != l.Forward || backward[l.Operator] != l.Backward {
					t.Errorf("%s %+v: %s: operations %.0f and %.0f, ledger %.0f and %.0f", name, w, l.Operator,
						forward[l.Operator], backward[l.Operator], l.Forward, l.Backward)
				}
				delete(forward, l.Operator)
			}
			for operator, n := range forward {
				if n != 0 {
					t.Errorf("%s %+v: the ledger has no line %s", name, w, operator)
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}

// A model is a multiple of its layers' operations at any size: no product of a
// million tokens overflows.
func TestOperationsOfLongSequences(t *testing.T) {
	c := must(t, "deepseek-v4-pro")
	w := Work{Lengths: []int{1 << 20}, MTP: true, IndexerLoss: true}
	var sum float64
	for _, o := range c.Operations(w) {
		if o.Wanted < 0 || o.Executed() < o.Wanted {
			t.Fatalf("%+v", o)
		}
		sum += 2 * float64(o.Wanted)
	}
	if want := c.FLOPs(w).Total(); math.Abs(sum-want) > 1e-12*want {
		t.Errorf("operations %g, ledger %g", sum, want)
	}
}

// By every convention the sum over products equals the closed form, and every
// operator that it counts differently from the ledger has its reason.
func TestConventionsAreSumsOfOperations(t *testing.T) {
	for _, name := range Builtins() {
		c := must(t, name)
		for _, by := range []Convention{ByLedger, Megatron, Verl, Torchtitan} {
			for _, seq := range []int{100, 4096, 9000} {
				d, err := c.Compare(by, seq)
				if err != nil {
					t.Fatal(err)
				}
				var ledger, convention float64
				for _, x := range d {
					ledger += x.Ledger
					convention += x.Convention
					if differ := math.Abs(x.Ledger-x.Convention) > 1e-12*x.Ledger; differ != (x.Note != "") {
						t.Errorf("%s by %s at %d: %s: ledger %g, convention %g, note %q", name, by, seq, x.Operator, x.Ledger, x.Convention, x.Note)
					}
				}
				for _, s := range []struct {
					by  Convention
					got float64
				}{{ByLedger, ledger}, {by, convention}} {
					if want := perToken(t, c, s.by, seq); math.Abs(s.got-want) > 1e-12*want {
						t.Errorf("%s by %s at %d: operations %.15g, closed form %.15g", name, s.by, seq, s.got, want)
					}
				}
			}
		}
		if t.Failed() {
			return
		}
	}
}
