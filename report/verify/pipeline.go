package verify

import (
	"errors"
	"io"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// batchEntries is how many entries go from reading to checking at a time.
const batchEntries = 128

// item is an entry and its place.
type item struct {
	entry *record.Entry
	place runlog.Place
}

// each reads all entries and calls visit for each, in order, while the next ones
// are being read. It returns what the reader refused, nil at the end.
func (p *pass) each(visit func(*record.Entry, runlog.Place)) error {
	batches := make(chan []item, 4)
	var failed error
	go func() {
		defer close(batches)
		for batch := make([]item, 0, batchEntries); ; {
			e, err := p.reader.Next()
			if err == nil {
				batch = append(batch, item{e, p.reader.Last()})
			}
			if err != nil || len(batch) == batchEntries {
				batches <- batch
				batch = make([]item, 0, batchEntries)
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					failed = err
				}
				return
			}
		}
	}()
	for batch := range batches {
		for _, it := range batch {
			visit(it.entry, it.place)
		}
	}
	return failed
}
