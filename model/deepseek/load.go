package deepseek

import "math"

// Load describes how evenly the tokens of one block were spread over its experts.
type Load struct {
	MaxViolation float64 // (max - mean) / mean
	Least        float64 // min / mean
	Variation    float64 // standard deviation / mean
	Entropy      float64 // of the shares, divided by ln E: 1 is perfectly even
	Dead         int     // experts without a token
}

// LoadOf summarises the counts of one block: see [Losses].Counts. It is zero for
// no counts.
func LoadOf(counts []int64) Load {
	var total, most int64
	least := int64(math.MaxInt64)
	var l Load
	for _, c := range counts {
		total += c
		most, least = max(most, c), min(least, c)
		if c == 0 {
			l.Dead++
		}
	}
	if total == 0 {
		return l
	}
	n := float64(len(counts))
	mean := float64(total) / n
	var squares float64
	for _, c := range counts {
		d := float64(c) - mean
		squares += float64(d * d)
		if c > 0 {
			share := float64(c) / float64(total)
			l.Entropy -= float64(share * math.Log(share))
		}
	}
	if len(counts) > 1 {
		l.Entropy /= math.Log(n)
	}
	l.MaxViolation = (float64(most) - mean) / mean
	l.Least = float64(least) / mean
	l.Variation = math.Sqrt(squares/n) / mean
	return l
}
