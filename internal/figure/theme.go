package figure

import (
	"fmt"
	"strings"
)

// dark are the tones and colours on dark paper, by those on white.
var dark = map[string]string{
	"#ffffff": "#14181d", ink: "#e6eaef", muted: "#a3b0bd", faint: "#2a323b", frame: "#66727f", "#f0f3f7": "#20262e",
	black: black, palette[0]: "#4ba6e0", palette[1]: "#f28a4b", palette[2]: "#38c79c", palette[3]: "#e5a3c8", palette[4]: "#f0b53c",
	palette[5]: "#9bd6fa", palette[6]: "#f5f7fa", palette[7]: "#bd95da", palette[8]: "#cdad72", palette[9]: "#aab8ba",
}

// Dark returns the style sheet that shows figures below a selector on dark
// paper: a page puts it where it is dark. Figures are drawn for white paper, and
// their colours are attributes, which a style sheet may override.
func Dark(below string) string {
	var b strings.Builder
	rule := func(light, dark string) {
		for _, property := range []string{"fill", "stroke"} {
			fmt.Fprintf(&b, "%s [%s=\"%s\"] { %s: %s }\n", below, property, light, property, dark)
		}
	}
	for _, light := range append([]string{"#ffffff", ink, muted, faint, frame, "#f0f3f7", black}, palette...) {
		rule(light, dark[light])
	}
	for step := -shades; step <= shades; step++ {
		light, darker := shadeOf(step)
		fmt.Fprintf(&b, "%s [fill=\"%s\"] { fill: %s }\n", below, light, darker)
	}
	return b.String()
}

// shades are the steps of a [Grid] on either side of its reference.
const shades = 10

// shadeOf is the colour of a step, on white paper and on dark: blue above the
// reference, orange below it.
func shadeOf(step int) (light, dark string) {
	t := float64(step) / shades
	toLight, toDark := [3]float64{0x00, 0x5f, 0x9e}, [3]float64{0x63, 0xb9, 0xf2}
	if t < 0 {
		t, toLight, toDark = -t, [3]float64{0xc4, 0x50, 0x00}, [3]float64{0xff, 0x9a, 0x58}
	}
	return mix([3]float64{0xf3, 0xf5, 0xf8}, toLight, t), mix([3]float64{0x23, 0x2a, 0x32}, toDark, t)
}

// mix is the colour a share of the way from one to another.
func mix(from, to [3]float64, share float64) string {
	var c [3]int
	for i := range c {
		c[i] = int(from[i] + float64(share*(to[i]-from[i])) + 0.5)
	}
	return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2])
}
