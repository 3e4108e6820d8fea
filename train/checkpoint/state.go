package checkpoint

import (
	"encoding/json"
	"fmt"
)

// Tensor is one named array of a training state. The data is not copied: Save
// reads it and Load fills it in place.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// State is everything a run needs to go on as if it had never stopped.
type State struct {
	Step    int64
	Tensors []Tensor        // parameters, gradients' moments, routing biases: in any fixed order
	Meta    json.RawMessage // a JSON object: counters, data position, random keys, recipe digest
}

// check refuses states that could not be loaded again.
func (s *State) check() error {
	if s.Step < 0 {
		return fmt.Errorf("checkpoint: step is %d, want at least 0", s.Step)
	}
	if len(s.Meta) > 0 {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(s.Meta, &object); err != nil || object == nil {
			return fmt.Errorf("checkpoint: meta is not a JSON object")
		}
	}
	return checkTensors(s.Tensors)
}

// bytes returns the size of the tensors' data.
func (s *State) bytes() int64 {
	var n int64
	for i := range s.Tensors {
		n += 4 * int64(len(s.Tensors[i].Data))
	}
	return n
}

func checkTensors(tensors []Tensor) error {
	seen := make(map[string]bool, len(tensors))
	for i := range tensors {
		t := &tensors[i]
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		switch {
		case seen[t.Name]:
			return fmt.Errorf("checkpoint: tensor %q appears twice", t.Name)
		case n != len(t.Data):
			return fmt.Errorf("checkpoint: tensor %q of shape %v has %d values, want %d", t.Name, t.Shape, len(t.Data), n)
		}
		seen[t.Name] = true
	}
	return nil
}
