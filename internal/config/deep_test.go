package config

import (
	"strings"
	"testing"
	"time"
)

// A file made to exhaust the reader is refused at once.
func TestHostileFiles(t *testing.T) {
	for _, src := range []string{
		strings.Repeat("[", 1<<15), strings.Repeat("{a: ", 1<<14), strings.Repeat("- ", 1<<14), strings.Repeat("? ", 1<<14),
		strings.Repeat("name: a\n---\n", 1<<12), "name: " + strings.Repeat("a", 1<<20), "name: \"" + strings.Repeat("\\n", 1<<12),
		strings.Repeat("a: &a [*a,*a]\n", 1<<11), strings.Repeat("!", 1<<15), strings.Repeat(" ", 1<<15) + "a",
		"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c]\nf: [*d,*d,*d,*d,*d,*d,*d]\n",
	} {
		begin := time.Now()
		err := Decode([]byte(src), "x.yaml", new(thing))
		if took := time.Since(begin); err == nil || took > 2*time.Second {
			t.Errorf("%.20q...: %v after %v", src, err, took)
		}
	}
}
