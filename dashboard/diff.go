package dashboard

import "strings"

// diffLine is a line of two texts: in both (" "), in the first ("-") or in the
// second ("+").
type diffLine struct{ Sign, Text string }

// Class names the line's sort.
func (d diffLine) Class() string {
	return map[string]string{"-": "removed", "+": "added", "…": "skipped"}[d.Sign]
}

// Limits of a comparison of texts.
const (
	maxDiffLines = 1500
	diffContext  = 3
)

// diffTexts compares texts line by line by the longest common subsequence, and
// leaves out what is far from any difference.
func diffTexts(a, b string) []diffLine {
	x, y := splitLines(a), splitLines(b)
	// common[i][j] is how many lines x[i:] and y[j:] share in order.
	common := make([][]int16, len(x)+1)
	for i := range common {
		common[i] = make([]int16, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var all []diffLine
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			all = append(all, diffLine{" ", x[i]})
			i, j = i+1, j+1
		case j == len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			all = append(all, diffLine{"-", x[i]})
			i++
		default:
			all = append(all, diffLine{"+", y[j]})
			j++
		}
	}
	return nearDifferences(all)
}

func splitLines(s string) []string {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	if len(lines) > maxDiffLines {
		lines = append(lines[:maxDiffLines:maxDiffLines], "… (more lines are not compared)")
	}
	for i, l := range lines {
		lines[i] = cutText(l, 500)
	}
	return lines
}

// nearDifferences keeps the lines around differences.
func nearDifferences(all []diffLine) []diffLine {
	keep := make([]bool, len(all))
	for i, l := range all {
		if l.Sign != " " {
			for k := max(i-diffContext, 0); k <= min(i+diffContext, len(all)-1); k++ {
				keep[k] = true
			}
		}
	}
	var out []diffLine
	for i, l := range all {
		switch {
		case keep[i]:
			out = append(out, l)
		case len(out) > 0 && out[len(out)-1].Sign != "…":
			out = append(out, diffLine{"…", ""})
		}
	}
	return out
}
