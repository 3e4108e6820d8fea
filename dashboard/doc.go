// Package dashboard shows the runs below a directory to a browser while they go
// on and afterwards, and their metrics to Prometheus. It reads records and
// nothing else, writes nothing, and trusts neither the files nor the network.
//
//	scan.go         records below a directory, opened so that no name leads out of it
//	hub.go          following all of them
//	run.go          what is known of a run, folded from its entries
//	state.go        whether it lives
//	columns.go      the numbers of its steps in bounded memory
//	series.go       parts of them as charts want them, and where two runs part
//	timeline.go     what happened between steps
//	subscribers.go  pages that wait for changes
//	server.go       addresses, and what each answers
//	guard.go        who may ask what
//	listener.go     how many connections
//	turns.go        how many answers at once
//	list.go, page.go, compare.go, tables.go   the pages
//	metrics.go      Prometheus
//	assets          style, scripts and templates; assets/uplot is uPlot, with its licence
//
// [Serve] runs all of it.
package dashboard
