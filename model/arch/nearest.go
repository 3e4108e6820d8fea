package arch

// Nearest returns the candidate that is the fewest edits away from the name, for
// "did you mean" hints, or "" when none is within a third of its length.
func Nearest(name string, candidates []string) string {
	best, limit := "", len(name)/3+1
	for _, c := range candidates {
		if diff := len(c) - len(name); diff > limit || -diff > limit {
			continue
		}
		if d := edits(name, c); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// edits is the Levenshtein distance between two strings, byte by byte.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
