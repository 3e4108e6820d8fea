package demo

import (
	"fmt"
	"strings"

	"github.com/temper-ml/temper/internal/detrand"
)

// words is a keyed choice of words for one paragraph.
type words struct {
	stream detrand.Stream
	next   uint64
}

// pick returns one of the alternatives.
func (w *words) pick(alternatives ...string) string {
	w.next++
	return alternatives[w.stream.Uint64nAt(w.next, uint64(len(alternatives)))]
}

// number returns a whole number in [lo, hi].
func (w *words) number(lo, hi int) int {
	w.next++
	return lo + int(w.stream.Uint64nAt(w.next, uint64(hi-lo+1)))
}

func (w *words) person() string {
	return w.pick("the smith", "the apprentice", "the turner", "the carpenter", "Ada", "Bruno", "Clara", "Dima", "Edda", "Farid", "Greta", "Hugo")
}

func (w *words) metal() string {
	return w.pick("iron", "steel", "copper", "brass", "bronze", "tin", "silver")
}

func (w *words) tool() string {
	return w.pick("a hammer", "a file", "a pair of tongs", "a chisel", "a saw", "a rule", "a vice", "a brush", "a balance")
}

func (w *words) thing() string {
	return w.pick("a blade", "a hinge", "a bell", "a key", "a spring", "a ring", "a nail", "a chain", "a lamp", "a gate", "a bowl")
}

func (w *words) colour() string {
	return w.pick("straw yellow", "brown", "purple", "deep blue", "pale blue", "cherry red", "orange", "white")
}

func (w *words) length() string {
	return fmt.Sprintf("%d %s", w.number(2, 99), w.pick("mm", "cm", "m", "km"))
}

func (w *words) mass() string {
	return fmt.Sprintf("%d %s", w.number(2, 99), w.pick("g", "kg", "t"))
}

func (w *words) volume() string {
	return fmt.Sprintf("%d %s", w.number(2, 99), w.pick("ml", "l"))
}

// sentence writes one sentence; who is the paragraph's person, what its metal.
func (w *words) sentence(who, what string) string {
	switch w.number(0, 11) {
	case 0:
		return fmt.Sprintf("%s takes %s and a bar of %s that is %s long.", who, w.tool(), what, w.length())
	case 1:
		return fmt.Sprintf("The bar weighs %s, and %s writes the mass into the book.", w.mass(), who)
	case 2:
		return fmt.Sprintf("When the %s turns %s, %s lifts it out of the fire.", what, w.colour(), who)
	case 3:
		return fmt.Sprintf("%s cools it in %s of %s.", who, w.volume(), w.pick("water", "oil", "brine"))
	case 4:
		return fmt.Sprintf("From the rest %s makes %s, which is %s wide.", who, w.thing(), w.length())
	case 5:
		return fmt.Sprintf("A good %s should be %s, not %s.", w.pick("edge", "joint", "weld", "handle"), w.pick("straight", "clean", "even", "tight"), w.pick("crooked", "rough", "loose", "thin"))
	case 6:
		return fmt.Sprintf("It takes %d %s until the %s is %s.", w.number(2, 60), w.pick("minutes", "hours", "days"), what, w.pick("hot", "cold", "soft", "hard", "ready"))
	case 7:
		return fmt.Sprintf("%s measures twice: first %s, then %s.", who, w.length(), w.length())
	case 8:
		return fmt.Sprintf("If the steel is too hard it breaks, so %s heats it again to %s and lets it rest.", who, w.colour())
	case 9:
		return fmt.Sprintf("In the evening %s sweeps the floor and hangs %s on the wall.", who, w.tool())
	case 10:
		return fmt.Sprintf("The road to the market is %s long, and the cart carries %s.", w.length(), w.mass())
	default:
		return fmt.Sprintf("%s asks for %s of %s and pays for %s.", who, w.mass(), what, w.thing())
	}
}

// paragraph writes paragraph i: one person, one metal, a few sentences.
func paragraph(seed uint64, i int) string {
	w := &words{stream: detrand.Key(seed, "demo paragraph", uint64(i))}
	who, what := w.person(), w.metal()
	var sentences []string
	for range w.number(4, 8) {
		s := w.sentence(who, what)
		sentences = append(sentences, strings.ToUpper(s[:1])+s[1:])
	}
	return strings.Join(sentences, " ")
}

// Text returns n paragraphs separated by blank lines.
func Text(seed uint64, n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(paragraph(seed, i))
		b.WriteString("\n\n")
	}
	return b.String()
}
