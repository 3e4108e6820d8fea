package planner

import "context"

// ScoreAll counts the memory and bounds the time of every legal layout of the
// request one by one, as if none could be bounded away and everything fitted, and
// returns how many there were. It is the inner loop of a search, for measuring.
func ScoreAll(ctx context.Context, r Request) (layouts int64, err error) {
	p, err := newProblem(r)
	if err != nil {
		return 0, err
	}
	p.capacity, p.host = 1<<60, 1<<60
	w, err := p.each(ctx, keepBest, func(w *worker, u *unit) { w.run(u) })
	if err != nil {
		return 0, err
	}
	return w.scored, nil
}
