// Package goodput plays the days of a long run: devices fail, collectives hang,
// bits flip unseen, dies slow down, checkpoints are written and read, nodes are
// replaced, until the work is done or the time is up.
//
// A run needs Work seconds of undisturbed training (or lasts Horizon seconds).
// A trial walks from event to event; between events the checkpoint cycle is
// advanced in closed form, so that a trial costs as much as it has events,
// whatever the number of devices and days. Every second of wall time is booked
// exactly once:
//
//	wall = useful + checkpoints + lost work + detection + waiting for nodes +
//	       restart + loading + slow ranks + missing nodes
//
// Two ratios follow. Goodput is useful / wall: what the run made of the machine.
// ETTR, the effective training time ratio, counts every second in which the run
// moved forward for good, also when a slow rank or a missing node made it move
// slowly: (useful + slow ranks + missing nodes) / wall.
//
// The interruptions of n devices are a Poisson process of rate n / MTBF, or,
// with Shape k ≠ 1, the power-law process of a fleet that starts new and whose
// repaired devices are as old as the rest: the expected number of interruptions
// until t is n (t/λ)^k, with λ such that a device's mean life is MTBF.
//
// Randomness is keyed by (seed, purpose, trial): the policies that Compare
// plays against each other meet the same failures at the same moments.
package goodput
