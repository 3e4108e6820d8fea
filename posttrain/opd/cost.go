package opd

import (
	"github.com/temper-ml/temper/model/arch"
	"github.com/temper-ml/temper/model/deepseek"
	"github.com/temper-ml/temper/nn"
)

// Cost is what lessons take of one teacher.
type Cost struct {
	Name string `json:"name"`
	// Parameters are the teacher's.
	Parameters int64 `json:"parameters"`
	// Tokens are read, Labels learnt of them.
	Tokens int64 `json:"tokens"`
	Labels int64 `json:"labels"`
	// Reading are the operations of its forward passes, Head those of its head, once
	// for each label. They are no part of the student's model operations.
	Reading float64 `json:"reading_flops"`
	Head    float64 `json:"head_flops"`
	// Bytes are what states of these lessons and the head take in the cache.
	Bytes int64 `json:"bytes"`
	// Memory is what the teacher needs while it reads so many tokens at once, beside
	// the student.
	Memory int64 `json:"memory"`
}

// CostOf returns what lessons take of each teacher, which reads so many tokens at once.
func CostOf(lessons []Lesson, teachers []Teacher, bf16 bool, tokens int) ([]Cost, error) {
	out := make([]Cost, len(teachers))
	for j := range teachers {
		t, c := &teachers[j], &out[j]
		c.Name, c.Bytes = t.Name, 4*int64(t.Config.VocabSize)*int64(t.Config.HiddenSize)
		c.Parameters, _, _ = t.Config.Count()
		longest := 0
		var lengths []int
		for i := range lessons {
			segments := lessons[i].taughtBy(j)
			c.Labels += int64(lessons[i].labels(segments))
			row := 0
			for _, s := range segments {
				n := lessons[i].Row.Segments[s].Len()
				lengths, row = append(lengths, n), row+n
			}
			longest, c.Tokens = max(longest, row), c.Tokens+int64(row)
		}
		if len(lengths) > 0 {
			c.Reading = t.Config.FLOPs(arch.Work{Lengths: lengths, Supervised: []int64{0}}).Forward()
			c.Head = t.Config.FLOPs(arch.Work{Lengths: lengths, Supervised: []int64{c.Labels}}).Forward() - c.Reading
		}
		width := int64(4)
		if bf16 {
			width = 2
		}
		c.Bytes += width * int64(t.Config.HiddenSize) * c.Labels
		room := min(int64(max(tokens, longest)), max(c.Tokens, 1))
		plan, err := deepseek.PlanStep(t.Config, []nn.Segment{{Start: 0, End: int(room)}}, deepseek.StepOptions{Recompute: deepseek.RecomputeFull})
		if err != nil {
			return nil, err
		}
		c.Memory = plan.Parameters + plan.Activations
	}
	return out, nil
}
