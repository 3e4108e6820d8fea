// Package render turns what is known of a run into what others read: a page for
// a browser, an MLPerf log, TensorBoard's event files, Prometheus' text. It
// computes from a Run alone, reads no clock and no file, and says "not recorded"
// where a Run is silent.
//
//	run.go          what is known of a run
//	fill.go         the same from a record: fill_manifest.go its manifest,
//	                fill_flops.go the operations of its steps
//	spans.go        what a run spent its time on
//	summary.go      a run in numbers
//	csv.go          its steps as a table
//	text.go         a summary for a terminal
//	mllog.go        the run as an MLPerf training log
//	submission.go   what a submitter declares beside the record
//	mllog_check.go  the rules such a log must keep
//	tensorboard.go  the run's scalars as an event file
//	prometheus.go   the last state of runs as metrics
//	totals.go       what a run has left out
//	html.go         a page about one run or several
//	view.go         its sections and charts
//	page_*.go       what is in them: summary, curves, time, ranks and experts,
//	                operations and other hardware
//	diff.go         fields in which recipes differ
//	tables.go       facts of manifests side by side
package render
