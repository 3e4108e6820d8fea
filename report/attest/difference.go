package attest

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/temper-ml/temper/internal/jsonvalue"
)

// sameStatement refuses a payload that is not the wanted one, and names the
// first member that differs.
func sameStatement(got, want []byte) error {
	if bytes.Equal(got, want) {
		return nil
	}
	g, err := jsonvalue.Parse(string(got))
	if err != nil {
		return fmt.Errorf("payload: %w", err)
	}
	w, err := jsonvalue.Parse(string(want))
	if err != nil {
		return fmt.Errorf("derived payload: %w", err)
	}
	if path, a, b := difference(&g, &w, ""); path != "" || a != b {
		return fmt.Errorf("payload: %s is %.160s, the record says %.160s", path, a, b)
	}
	return fmt.Errorf("payload: not the canonical text of its value")
}

// difference returns the path of the first difference and both values there; two
// empty texts if there is none.
func difference(g, w *jsonvalue.Value, path string) (at, got, want string) {
	if g.Kind != w.Kind {
		return path, g.Python(), w.Python()
	}
	switch g.Kind {
	case jsonvalue.Array:
		for i := range min(len(g.Items), len(w.Items)) {
			if at, a, b := difference(&g.Items[i], &w.Items[i], path+"["+strconv.Itoa(i)+"]"); a != b {
				return at, a, b
			}
		}
		if len(g.Items) != len(w.Items) {
			return path, fmt.Sprintf("a list of %d", len(g.Items)), fmt.Sprintf("one of %d", len(w.Items))
		}
	case jsonvalue.Object:
		return objectDifference(g, w, path)
	default:
		if a, b := g.Python(), w.Python(); a != b {
			return path, a, b
		}
	}
	return "", "", ""
}

func objectDifference(g, w *jsonvalue.Value, path string) (at, got, want string) {
	join := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	for i := range w.Members {
		m := &w.Members[i]
		v := g.Lookup(m.Key)
		if v == nil {
			return join(m.Key), "missing", m.Value.Python()
		}
		if at, a, b := difference(v, &m.Value, join(m.Key)); a != b {
			return at, a, b
		}
	}
	for i := range g.Members {
		if m := &g.Members[i]; w.Lookup(m.Key) == nil {
			return join(m.Key), m.Value.Python(), "nothing of it"
		}
	}
	return "", "", ""
}

// lookup returns the text of a string within a payload.
func lookup(payload []byte, path ...string) (string, error) {
	v, err := jsonvalue.Parse(string(payload))
	if err != nil {
		return "", fmt.Errorf("payload: %w", err)
	}
	at := &v
	for _, name := range path {
		if at.Kind != jsonvalue.Object {
			return "", fmt.Errorf("payload: want an object with the member %q", name)
		}
		next := at.Lookup(name)
		if next == nil {
			return "", fmt.Errorf("payload: no member %q", name)
		}
		at = next
	}
	if at.Kind != jsonvalue.String {
		return "", fmt.Errorf("payload: %q is no string", path[len(path)-1])
	}
	return at.Text, nil
}
