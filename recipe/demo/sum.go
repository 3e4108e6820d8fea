package demo

import (
	"fmt"

	"github.com/temper-ml/temper/internal/detrand"
)

// Sums returns questions on lengths, masses and volumes that are given in two
// units, such as 3 m 45 cm, in a keyed order, and heldOut others.
func Sums(seed uint64, heldOut int) (train, held []Question) {
	seen := map[string]bool{}
	for c, conv := range conversions {
		for n := range 99 {
			w := &words{stream: detrand.Key(seed, "demo sum", uint64(c), uint64(n))}
			for range 4 {
				rest := w.number(1, conv.factor-1)
				form := sumWordings[w.number(0, len(sumWordings)-1)]
				q := Question{
					fmt.Sprintf(form, n+1, conv.from, rest, conv.to),
					fmt.Sprintf("%d %s", (n+1)*conv.factor+rest, conv.to),
				}
				if !seen[conv.from+q.Answer] { // whatever the wording
					train = append(train, q)
				}
				seen[conv.from+q.Answer] = true
			}
		}
	}
	shuffle(train, detrand.Key(seed, "demo sum order"))
	cut := len(train) - heldOut
	return train[:cut], train[cut:]
}

// sumWordings ask for [1] of unit [2] and [3] of unit [4] in the latter.
var sumWordings = []string{
	"Write %[1]d %[2]s %[3]d %[4]s in %[4]s.",
	"How many %[4]s are %[1]d %[2]s and %[3]d %[4]s?",
}
