// Package replay takes the steps of a recorded run again, with the real trainer,
// on this machine. It implements what report/verify asks of a replayer.
//
// All that it needs is the run directory, the base model and the data. The recipe
// is the text in the run's manifest; data files are looked for where the recipe
// says and in folders that the caller names, and none is read before its digest
// was held against the manifest. States come from the recipe (parameters drawn
// from the seed, or the base model), from checkpoints that the run keeps, and
// from steps that were taken again; each is held against the record's digests.
//
// How steps are computed, the [Way], decides no result. A replay computes in
// another way than the run did, as far as the machine has one: another instruction
// set, number of threads, and cut of a step into micro-batches. So a replay that
// agrees has also tested the machine and the program it ran on.
//
// Nothing is written into the run directory; caches are in a temporary one.
package replay
