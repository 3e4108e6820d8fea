package hardware

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

//go:embed catalogue/*.yaml
var catalogue embed.FS

// Names returns the names of the catalogue's entries, sorted.
func Names() []string {
	files, err := catalogue.ReadDir("catalogue")
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// entry returns the text of a catalogue entry.
func entry(name string) ([]byte, bool) {
	if !isName(name) {
		return nil, false
	}
	src, err := catalogue.ReadFile("catalogue/" + name + ".yaml")
	return src, err == nil
}

// unknownName says which entry may have been meant.
func unknownName(name string) error {
	near := nearest(name, Names())
	if near != "" {
		return fmt.Errorf("hardware: no cluster is named %q: did you mean %s? there are %s, or the path of a YAML file", name, near, strings.Join(Names(), ", "))
	}
	return fmt.Errorf("hardware: no cluster is named %q: there are %s, or the path of a YAML file", name, strings.Join(Names(), ", "))
}

// nearest returns the choice that s is most likely a slip of, or "": one that
// s is a part of or that is a part of s, the closest in length, or else the one
// with the fewest edits, up to a third of its length.
func nearest(s string, choices []string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "" {
		return ""
	}
	best, least := "", 1<<30
	for _, c := range choices {
		plain := strings.ToLower(c)
		cost := 1000 * distance(s, plain)
		if strings.HasSuffix(plain, s) || strings.HasSuffix(s, plain) || strings.HasPrefix(s, plain) || strings.HasPrefix(plain, s) && len(s) > 2 {
			cost = max(len(plain)-len(s), len(s)-len(plain))
		} else if cost > 1000/3*max(len(plain), len(s)) {
			continue
		}
		if cost < least {
			best, least = c, cost
		}
	}
	return best
}

// distance counts the insertions, deletions and changes between a and b.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 1 << 20
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		last := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last
			if a[i-1] != b[j-1] {
				change++
			}
			last, row[j] = row[j], min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// isName reports whether s may be the name of a cluster.
func isName(s string) bool {
	for i, r := range s {
		if r >= 'a' && r <= 'z' || i > 0 && (r >= '0' && r <= '9' || r == '-' || r == '.') {
			continue
		}
		return false
	}
	return s != "" && len(s) <= 64
}

// toName makes a name of what was meant as one.
func toName(s string) string {
	name := strings.Map(func(r rune) rune {
		switch r = unicode.ToLower(r); {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, s)
	name = strings.TrimLeft(name, "-.0123456789")
	if name == "" {
		return "my-cluster"
	}
	return name[:min(len(name), 64)]
}

// quote prints a value as it was written, cut when it is long.
func quote(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}
