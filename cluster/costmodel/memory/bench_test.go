package memory

import (
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/distributed/schedule"
	"github.com/temper-ml/temper/model/arch"
)

func benchStage(b *testing.B) *Stage {
	c, err := arch.Builtin("deepseek-v3")
	if err != nil {
		b.Fatal(err)
	}
	e, err := operator.EngineNamed("mindspeed")
	if err != nil {
		b.Fatal(err)
	}
	w, err := operator.NewWorks(c, operator.Sharding{TP: 2, CP: 1, EP: 32, ETP: 1, Sequence: true}, operator.Numbers{MicroBatch: 1, Seq: 4096, DType: operator.BF16, Engine: e})
	if err != nil {
		b.Fatal(err)
	}
	return &Stage{
		Works: w, DP: 32, Zero: 1, Optimizer: "adamw", Stages: 8, Micro: 64,
		Chunks: []Chunk{{Part: schedule.Part{First: 0, Blocks: 4, Embedding: true}, InFlight: 8}, {Part: schedule.Part{First: 32, Blocks: 4}, InFlight: 7}},
	}
}

func BenchmarkOf(b *testing.B) {
	s := benchStage(b)
	for b.Loop() {
		if _, err := Of(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNewWorks(b *testing.B) {
	s := benchStage(b)
	for b.Loop() {
		if _, err := operator.NewWorks(s.Works.Model, s.Works.Sharding, s.Works.Numbers); err != nil {
			b.Fatal(err)
		}
	}
}
