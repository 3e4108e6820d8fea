package reward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
)

// Sample is an answer to be judged.
type Sample struct {
	Prompt     string `json:"prompt"`
	Completion string `json:"completion"`
	// Tokens of the completion; Truncated if it did not end by itself.
	Tokens    int  `json:"tokens"`
	Truncated bool `json:"truncated"`
	// Fields are the row's own: reference answers and the like.
	Fields map[string]json.RawMessage `json:"fields,omitempty"`
}

// text returns a field as text: a string's content, or a number as it is written.
func (s *Sample) text(field string) (string, error) {
	raw, ok := s.Fields[field]
	if !ok {
		return "", fmt.Errorf("the row has no field %q", field)
	}
	var t string
	if json.Unmarshal(raw, &t) == nil {
		return t, nil
	}
	if v := strings.TrimSpace(string(raw)); v != "" && v[0] != '{' && v[0] != '[' && v != "null" {
		return v, nil
	}
	return "", fmt.Errorf("field %q is neither text nor a number", field)
}

// Score is what one rule says.
type Score struct {
	Value  float64 `json:"value"`
	Reason string  `json:"reason,omitempty"`
}

// Rule judges one side of a sample. It may be used from several goroutines.
type Rule interface {
	Judge(ctx context.Context, s *Sample) (Score, error)
}

// Part is the share of one rule in a verdict.
type Part struct {
	Name   string  `json:"name"`
	Weight float64 `json:"weight"`
	Score
	// Error tells why the rule could not judge; Value is then 0.
	Error string `json:"error,omitempty"`
}

// Verdict is what a sample gets: the sum of weights times values.
type Verdict struct {
	Total float64 `json:"total"`
	Parts []Part  `json:"parts"`
	// Failed says that a rule could not judge: Total means nothing.
	Failed bool `json:"failed,omitempty"`
}

// Judges are rules with weights.
type Judges struct {
	names   []string
	weights []float64
	rules   []Rule
	// Parallel is how many samples are judged at a time; 0 means one.
	Parallel int
}

// New makes the rules of a list of specifications. Errors begin with the index
// and the field.
func New(specs []Spec) (*Judges, error) {
	if len(specs) == 0 {
		return nil, errors.New("rewards: no rule: add one, such as {numeric: {answer: answer}}")
	}
	j := &Judges{}
	seen := map[string]bool{}
	for i := range specs {
		kind, rule, err := specs[i].rule()
		if err != nil {
			return nil, fmt.Errorf("rewards[%d]%w", i, err)
		}
		name := specs[i].Name
		if name == "" {
			name = kind
		}
		if seen[name] {
			return nil, fmt.Errorf("rewards[%d].name: %q is taken: give each rule a name of its own", i, name)
		}
		seen[name] = true
		weight := 1.0
		if w := specs[i].Weight; w != nil {
			weight = *w
		}
		if weight-weight != 0 {
			return nil, fmt.Errorf("rewards[%d].weight: %v, want a finite number", i, weight)
		}
		j.names, j.weights, j.rules = append(j.names, name), append(j.weights, weight), append(j.rules, rule)
	}
	return j, nil
}

// Judge returns the verdicts of samples, in their order. When ctx ends, samples
// not judged yet fail.
func (j *Judges) Judge(ctx context.Context, samples []Sample) []Verdict {
	verdicts := make([]Verdict, len(samples))
	slots := make(chan struct{}, max(j.Parallel, 1))
	var wait sync.WaitGroup
	for i := range samples {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			verdicts[i] = j.one(ctx, &samples[i])
		})
	}
	wait.Wait()
	return verdicts
}

func (j *Judges) one(ctx context.Context, s *Sample) Verdict {
	v := Verdict{Parts: make([]Part, len(j.rules))}
	for i, r := range j.rules {
		p := &v.Parts[i]
		p.Name, p.Weight = j.names[i], j.weights[i]
		score, err := r.Judge(ctx, s)
		if err == nil && score.Value-score.Value != 0 {
			err = fmt.Errorf("a reward of %v is no number", score.Value)
		}
		if err != nil {
			p.Error, v.Failed = err.Error(), true
			continue
		}
		p.Score = score
		v.Total += float64(p.Weight * score.Value)
	}
	if math.IsInf(v.Total, 0) {
		v.Failed = true
	}
	if v.Failed {
		v.Total = 0
	}
	return v
}
