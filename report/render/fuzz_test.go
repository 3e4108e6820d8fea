package render

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/temper-ml/temper/report/record"
)

// FuzzReport gives every output a record of any entries that the format allows,
// in any order: none may panic, and the page stays well-formed.
func FuzzReport(f *testing.F) {
	f.Add("name: x\n", []byte(`{"body":{"from":0,"lr":{},"method":"","name":"a","rows":0,"stage":0,"steps":1},"index":1,"kind":"stage","time":1}
{"body":{"examples":1,"flops":1e+09,"grad_norm":1,"losses":{"lm":2},"lr":0.001,"stage":0,"step":0,"supervised":1,"time":{"other":5,"wall":5},"tokens":2},"index":2,"kind":"step","time":9223372036854775807}
{"body":{"again":1,"cause":"c","stage":0,"step":0},"index":3,"kind":"recovery","time":5}
{"body":{"counts":[[0,9223372036854775807],[]],"from":0,"stage":0,"to":1},"index":4,"kind":"routing","time":5}
{"body":{"from":0,"ranks":[{"rank":0,"split":{"other":5,"wall":5}},{"rank":7,"split":{"communication":5,"wall":5}}],"stage":1,"to":4},"index":5,"kind":"times","time":6}
{"body":{"stage":-0,"step":0,"suites":{"a":{"right":0,"total":1}},"took":9223372036854775807},"index":6,"kind":"evaluation","time":7}
{"body":{"path":"p","bytes":9223372036854775807,"stage":9,"step":0,"took":1},"index":7,"kind":"checkpoint","time":8}
{"body":{"examples":0,"status":"failed","steps":0,"supervised":0,"tokens":0},"index":8,"kind":"end","time":9}`))
	f.Add("a: &a [*a]\n", []byte("{}"))
	f.Add(strings.Repeat("[", 100), []byte{})
	f.Fuzz(func(t *testing.T, recipe string, log []byte) {
		m := manifest()
		m.Recipe = recipe
		fill := NewFiller(m)
		for l := range bytes.Lines(log) {
			var e record.Entry
			if record.Unmarshal(bytes.TrimSuffix(l, []byte("\n")), &e) == nil {
				_ = fill.Add(&e)
			}
		}
		r := fill.Run()
		for _, runs := range [][]*Run{{r}, {r, finished()}} {
			wellFormed(t, pageOf(t, runs...))
			for name, write := range map[string]func(io.Writer, ...*Run) error{
				"json": JSON, "csv": CSV, "text": func(w io.Writer, runs ...*Run) error { return Text(w, 80, runs...) },
				"events": func(w io.Writer, runs ...*Run) error { return TensorBoard(w, runs[0]) },
			} {
				if err := write(io.Discard, runs...); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		_ = Prometheus(io.Discard, r)
		_ = MLLOG(io.Discard, r, submission())
	})
}
