// Package audit holds claims about training runs against arithmetic and physics,
// where there is no record to verify. A Claim is what was said, statement by
// statement, each quantity an interval as wide as its words; Run puts them into
// one system of equations together with what is known of the model and the
// hardware, and asks whether any values of all that was not said make the claim
// hold.
//
// Equations relate positive quantities by products only (operations = tokens ×
// operations per token; device-time = devices × duration; ...), so intervals are
// narrowed soundly until nothing moves. Where one becomes empty, the statements
// are thinned out to a smallest set that still contradicts itself, and the
// derivation of both ends is written out. No value that could be true is ever
// cut off: a contradiction is a proof under the named facts, and everything else
// is consistent only where something independent could have contradicted it and
// did not; otherwise it is undetermined.
//
// What the package needs to know about models, hardware and predictions comes in
// through World, so that it can be read and checked alone.
package audit
