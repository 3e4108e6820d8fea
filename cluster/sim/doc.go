// Package sim runs the program of every rank of a cluster on an event clock.
//
// The cost model says how long one chunk, one collective, one send lasts; the
// schedule says in which order a rank does them. This package puts the two on
// one clock, rank by rank, so that what is not symmetric shows: a slow die, a
// router that prefers some experts, a network card at a quarter of its speed,
// a rank that stops answering. It answers how long the step is, which chain of
// ranks and instructions makes it that long, who waits for whom, and what each
// disturbance costs.
//
// How it works. Ranks of one pipeline stage share one list of Instructions. A
// rank runs ahead on its own clock until it needs somebody: a blocking
// collective waits for all members of its group, a receive for its message, a
// Wait for a collective that was started earlier. Nothing is approximated by
// that: a rank's future depends on others only there. Transfers over a port
// that several ranks share are served in the order of their requests, from a
// queue that is consulted only when no rank can run: every later request is
// then later in time too. The cost is O(instructions + sends × log sends).
//
// Time is counted in whole picoseconds, so that sums are exact: for every rank
//
//	compute + communication + bubble + stall = wall time
//
// where communication is transfer time that the rank could not hide, bubble is
// waiting for another stage's work, and stall is waiting for a slower member of
// the same group, for a shared port, or for somebody who never comes. The
// same program, durations and seed give the same bytes every time.
package sim
