package kernel

// Segment is one isolated sequence of a micro-batch: tokens Start to End-1.
// Positions, attention windows and compression blocks restart in it.
type Segment struct {
	Start, End int
}

// Len returns the number of tokens.
func (s Segment) Len() int { return s.End - s.Start }
