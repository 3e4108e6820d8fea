// Package verify judges the record of a run without trusting who made it.
//
// It asks three questions, each by itself:
//
//   - Form: is this a complete record, signed to its end, unchanged since, and
//     is every file that it names what it says? [Form] reads a run directory
//     once, front to back, and never writes there.
//   - Arithmetic: do its numbers follow from each other, from the recipe and
//     from what the machine can do? [Log.Arithmetic] answers from what the same
//     pass kept.
//   - Replay: does another machine, taking steps again, get the same bits?
//     [Replay] draws segments, a [Replayer] takes their steps.
//
// [NewReport] makes a verdict of the checks: pass, fail, or incomplete where
// nothing false was found but something that the verdict needs was not checked.
//
// Learning rates, totals, rates and bounds are recomputed here from the record
// and docs, by code of its own: the package imports neither the trainer nor the
// layers nor the recipe. docs/verify.md says what each check compares and which
// frauds it can and cannot find.
package verify
