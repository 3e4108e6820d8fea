// Package figure draws the few kinds of plots that temper's reports need,
// as SVG that a browser shows as it is: no script, no external font, no data
// but the drawing.
//
// Colours are those of Okabe and Ito, which people with any common colour
// blindness tell apart, and every series has a mark of its own shape as well.
// The same input gives the same bytes.
//
//	canvas.go   shapes and text, in pixels
//	scale.go    numbers to pixels, and ticks
//	mark.go     colours and shapes of series
//	panel.go    a frame with axes, grid and bands
//	scatter.go  points with interval bars
//	bars.go     a histogram of several series
//	dots.go     one line per name, a dot per measure
//	lines.go    lines through points, thinned
//	plot.go     series over steps, for a page: narrow and without a heading
//	timeline.go what happened when, in lanes
//	grid.go     a table of numbers as shades, for a page
//	theme.go    the colours on dark paper
//	stack.go    how a whole divides into parts, for a page
package figure
