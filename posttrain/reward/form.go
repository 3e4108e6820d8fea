package reward

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// Format asks for a form of the whole completion.
type Format struct {
	// Pattern is a regular expression in RE2's syntax, whose time is linear in
	// the text; (?s) lets the dot match newlines.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Anywhere is content with a match within the completion.
	Anywhere bool `yaml:"anywhere,omitempty" json:"anywhere,omitempty"`

	compiled *regexp.Regexp
}

func (f *Format) build() (Rule, error) {
	if f.Pattern == "" {
		return nil, errors.New("pattern: empty")
	}
	p := f.Pattern
	if !f.Anywhere {
		p = `\A(?:` + p + `)\z`
	}
	c, err := regexp.Compile(p)
	if err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	return &Format{f.Pattern, f.Anywhere, c}, nil
}

// Judge gives 1 for the form, else 0.
func (f *Format) Judge(_ context.Context, s *Sample) (Score, error) {
	if f.compiled.MatchString(s.Completion) {
		return Score{1, ""}, nil
	}
	return Score{0, "another form"}, nil
}

// Length is the soft penalty for overlong answers of DAPO (arXiv 2503.14476,
// eq. 13): 0 up to Max - Margin tokens, falling to -1 at Max, -1 beyond and for
// answers that did not end.
type Length struct {
	Max    int `yaml:"max" json:"max"`
	Margin int `yaml:"margin" json:"margin"`
}

func (l *Length) build() (Rule, error) {
	if l.Max < 1 {
		return nil, fmt.Errorf("max: %d tokens, want at least 1", l.Max)
	}
	if l.Margin < 0 || l.Margin > l.Max {
		return nil, fmt.Errorf("margin: %d tokens, want 0 to max, %d", l.Margin, l.Max)
	}
	return l, nil
}

// Judge gives -1 to 0.
func (l *Length) Judge(_ context.Context, s *Sample) (Score, error) {
	over := s.Tokens - (l.Max - l.Margin)
	switch {
	case s.Truncated:
		return Score{-1, "did not end"}, nil
	case over <= 0:
		return Score{0, ""}, nil
	case s.Tokens >= l.Max:
		return Score{-1, fmt.Sprintf("%d tokens", s.Tokens)}, nil
	}
	return Score{-float64(over) / float64(l.Margin), fmt.Sprintf("%d tokens", s.Tokens)}, nil
}
