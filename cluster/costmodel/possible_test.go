package costmodel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/cluster/costmodel/operator"
	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/mesh"
	"github.com/temper-ml/temper/model/arch"
)

// sweep lists reasonable steps over models, clusters and formats, one a line:
// model, cluster, devices, sequence, global batch, format, layout, and, where it
// is not the usual one, engine and optimizer.
const sweep = `
llama3-8b h100 8 8192 128 bf16 tp=1,mbs=1,zero=3,recompute=selective torchtitan
llama3-8b h100 8 8192 128 bf16 tp=2,mbs=1
llama3-8b h100 64 8192 512 bf16 tp=1,cp=2,mbs=1
llama3-8b h100 512 8192 512 bf16 tp=1,zero=3,recompute=full torchtitan
llama3-8b h100 512 8192 512 bf16 tp=2
llama3-8b h100 64 131072 64 bf16 tp=4,cp=8,recompute=full
llama3-8b h100 8 8192 128 fp8 tp=2,mbs=1
llama3-8b a100 8 8192 128 bf16 tp=2,mbs=1
llama3-8b h200 8 8192 128 bf16 tp=1,mbs=1
llama3-8b b200 8 8192 128 bf16 tp=1,mbs=1
llama3-8b b200 8 8192 128 mxfp8 tp=1,mbs=1
llama3-8b gb200 8 8192 128 bf16 tp=1,mbs=1
llama3-8b gb300 8 8192 128 bf16 tp=1,mbs=1
llama3-8b mi300x 8 8192 128 bf16 tp=1,mbs=1
llama3-8b mi355x 8 8192 128 bf16 tp=1,mbs=1
llama3-8b mi355x 8 8192 128 fp8 tp=1,mbs=1
llama3-8b ascend-910b 8 8192 128 bf16 tp=2,mbs=1
llama3-8b ascend-910c 16 8192 128 bf16 tp=2,mbs=1
llama3-8b h800 8 8192 128 bf16 tp=2,mbs=1
llama3-8b h20 8 8192 128 bf16 tp=1,mbs=1
llama3-8b gaudi3 8 8192 128 bf16 tp=1,mbs=1
llama3-8b gaudi3 8 8192 128 fp8 tp=1,mbs=1
llama3-70b h100 64 8192 128 bf16 tp=4,pp=4,vpp=5
llama3-70b h100 64 8192 128 fp8 tp=4,pp=4,vpp=5
llama3-70b h100 512 8192 512 bf16 zero=3,recompute=full torchtitan
llama3-70b h100 512 8192 512 bf16 tp=8,zero=3,recompute=full torchtitan
llama3-70b h200 64 8192 128 bf16 tp=4,pp=2,vpp=10
llama3-70b a100 64 8192 128 bf16 tp=8,pp=4,vpp=5
llama3-70b b200 64 8192 128 bf16 tp=2,pp=4,vpp=5
llama3-70b gb200 64 8192 128 bf16 tp=2,pp=4,vpp=5
llama3-70b gb300 64 8192 128 mxfp8 tp=1,pp=4,vpp=5
llama3-70b mi300x 64 8192 128 bf16 tp=4,pp=2
llama3-70b mi355x 64 8192 128 bf16 tp=1,pp=4,vpp=5
llama3-70b ascend-910b 64 8192 128 bf16 tp=8,pp=4,vpp=5
llama3-70b ascend-910c 128 8192 128 bf16 tp=8,pp=4,vpp=5
llama3-70b cloudmatrix384 128 8192 128 bf16 tp=8,pp=4,vpp=5
llama3-70b h800 64 8192 128 bf16 tp=8,pp=4,vpp=5
llama3-70b h20 64 8192 128 bf16 tp=4,pp=4,vpp=5
llama3-70b gaudi3 64 8192 128 bf16 tp=4,pp=2
llama3-405b h100 1024 8192 512 bf16 tp=8,pp=8,cp=2,vpp=8
llama3-405b h100 1024 8192 512 fp8 tp=8,pp=8,cp=2,vpp=8
llama3-405b h100 512 8192 512 bf16 tp=8,zero=3,recompute=full torchtitan
llama3-405b gb200 512 8192 512 bf16 tp=4,pp=8,vpp=8
llama3-405b gb300 512 8192 512 mxfp8 tp=2,pp=8,vpp=8
llama3-405b mi300x 512 8192 512 bf16 tp=8,pp=8
llama3-405b ascend-910c 1024 8192 512 bf16 tp=8,pp=16,recompute=full
llama3-405b h100 4096 131072 64 bf16 tp=8,cp=16,pp=16
qwen3-30b-a3b a100 32 4096 512 bf16 ep=8,recompute=full
qwen3-30b-a3b h200 16 4096 512 bf16 ep=8
qwen3-30b-a3b b200 16 4096 512 bf16 ep=8
qwen3-30b-a3b gb200 16 4096 512 bf16 ep=8
qwen3-30b-a3b gb200 16 4096 512 mxfp8 ep=16
qwen3-30b-a3b gb300 16 4096 512 bf16 ep=8,mbs=2
qwen3-30b-a3b mi300x 16 4096 512 bf16 ep=8
qwen3-30b-a3b mi355x 16 4096 512 bf16 ep=8
qwen3-30b-a3b ascend-910b 32 4096 512 bf16 ep=8,recompute=full
qwen3-30b-a3b ascend-910c 32 4096 512 bf16 ep=16,recompute=full
qwen3-30b-a3b h800 32 4096 512 bf16 ep=8,recompute=full
qwen3-30b-a3b h20 32 4096 512 bf16 ep=8
qwen3-30b-a3b gaudi3 16 4096 512 bf16 ep=8
qwen3-235b-a22b h200 256 4096 2048 bf16 tp=2,pp=8,vpp=4,ep=16
qwen3-235b-a22b h800 256 4096 2048 bf16 tp=2,pp=8,vpp=4,ep=16,recompute=full
qwen3-235b-a22b b200 64 4096 1024 bf16 pp=8,vpp=4,ep=8
qwen3-235b-a22b gb200 64 4096 1024 bf16 pp=8,vpp=3,ep=8
qwen3-235b-a22b gb200 64 4096 1024 bf16 ep=64,recompute=full
qwen3-235b-a22b gb300 64 4096 1024 mxfp8 pp=2,ep=32,recompute=moe_act
qwen3-235b-a22b mi300x 256 4096 2048 bf16 pp=8,ep=8
qwen3-235b-a22b mi355x 64 4096 1024 bf16 pp=4,ep=8
qwen3-235b-a22b ascend-910c 512 4096 2048 bf16 tp=2,pp=8,ep=32,recompute=full
qwen3-235b-a22b cloudmatrix384 512 4096 2048 bf16 tp=1,pp=8,ep=64,recompute=full
qwen3-235b-a22b ascend-910b 512 4096 2048 bf16 tp=2,pp=8,ep=8,recompute=full
qwen3-235b-a22b h100 256 131072 32 bf16 tp=4,cp=8,pp=8,ep=32,recompute=full
mixtral-8x7b h100 64 4096 256 bf16 tp=2,ep=8,pp=4
mixtral-8x7b h100 64 4096 256 bf16 tp=1,ep=8,pp=4,vpp=8
mixtral-8x7b a100 64 4096 256 bf16 tp=2,ep=8,pp=4
mixtral-8x7b gb200 64 4096 256 bf16 ep=8
mixtral-8x7b mi300x 64 4096 256 bf16 ep=8
mixtral-8x7b ascend-910b 64 4096 256 bf16 tp=2,ep=8,pp=4
mixtral-8x22b h100 128 4096 256 bf16 tp=2,ep=8,pp=8
mixtral-8x22b h100 128 65536 64 bf16 tp=4,cp=4,ep=8,pp=8
deepseek-v2 h100 256 4096 1024 bf16 pp=4,ep=8,recompute=full
deepseek-v2 h800 512 4096 2304 bf16 pp=16,ep=8
deepseek-v2 gb200 128 4096 1024 bf16 pp=4,ep=32
deepseek-v2 ascend-910c 512 4096 1024 bf16 pp=4,ep=32,recompute=full
deepseek-v3 gb200 256 4096 2048 bf16 pp=4,vpp=4,ep=64,recompute=mla_up_proj
deepseek-v3 gb200 256 4096 2048 mxfp8 pp=4,vpp=4,ep=64,recompute=mla_up_proj
deepseek-v3 gb300 256 4096 2048 mxfp8 pp=2,vpp=8,ep=64
deepseek-v3 b200 256 4096 2048 mxfp8 pp=16,ep=8,recompute=mla_up_proj
deepseek-v3 h200 512 4096 8192 fp8 tp=2,pp=8,vpp=4,ep=32,recompute=mla_up_proj
deepseek-v3 mi300x 512 4096 4096 bf16 pp=16,ep=8,recompute=full
deepseek-v3 mi355x 256 4096 4096 bf16 pp=8,ep=8,recompute=full
deepseek-v3 mi355x 256 4096 4096 fp8 pp=8,ep=8,recompute=full
deepseek-v3 ascend-910b 1024 4096 4096 bf16 tp=4,pp=8,ep=32,recompute=full
deepseek-v3 ascend-910c 2048 4096 15360 bf16 pp=16,ep=64,recompute=full
deepseek-v3 cloudmatrix384 768 4096 7680 bf16 tp=2,pp=6,ep=64,recompute=full
deepseek-v3 h20 1024 4096 4096 fp8 pp=16,ep=32
deepseek-v3 gaudi3 512 4096 4096 bf16 pp=16,ep=8,recompute=full
deepseek-v3 h100 1024 131072 256 bf16 tp=8,cp=16,pp=8,ep=64,recompute=full
deepseek-v4-flash h200 64 4096 1024 bf16 pp=4,ep=16,recompute=full
deepseek-v4-flash gb200 64 4096 1024 bf16 pp=4,ep=16,recompute=full
deepseek-v4-flash gb300 64 4096 1024 mxfp8 pp=4,ep=16,recompute=mla_up_proj+mhc
deepseek-v4-flash mi355x 64 4096 1024 bf16 pp=4,ep=8,recompute=full
deepseek-v4-flash h100 256 131072 64 bf16 cp=16,pp=4,ep=32,recompute=full
deepseek-v4-pro ascend-910c 2000 4096 3000 bf16 pp=10,ep=8,recompute=full,offload=optimizer
deepseek-v4-pro ascend-910c 2048 4096 4096 bf16 pp=16,ep=128,recompute=full
deepseek-v4-pro ascend-910c 2048 4096 4096 bf16 pp=16,ep=128,recompute=full,offload=optimizer - muon
deepseek-v4-pro ascend-910c 2048 4096 4096 bf16 tp=2,pp=8,ep=128,recompute=full,offload=optimizer
deepseek-v4-pro h100 2048 4096 4096 bf16 pp=16,ep=64,recompute=full
deepseek-v4-pro h800 2048 4096 4096 fp8 pp=16,ep=64,recompute=full
deepseek-v4-pro gb200 512 4096 4096 bf16 pp=8,ep=64,recompute=full
deepseek-v4-pro mi355x 512 4096 4096 fp8 pp=8,ep=8,recompute=full
gpt3-175b a100 512 2048 1536 bf16 tp=8,pp=8,recompute=selective
gpt3-175b h100 512 2048 1536 bf16 tp=4,pp=8,vpp=6,recompute=selective
gpt3-175b h100 512 2048 1536 fp8 tp=4,pp=8,vpp=6,recompute=selective
gpt3-175b h200 512 2048 1536 bf16 tp=4,pp=8,vpp=6
gpt3-175b gb200 512 2048 1536 bf16 tp=4,pp=4,vpp=12
gpt3-175b gaudi3 384 2048 1536 bf16 tp=8,pp=8
gpt3-175b mi300x 512 2048 1536 bf16 tp=8,pp=4
gpt3-175b ascend-910b 512 2048 1536 bf16 tp=8,pp=8
gpt3-175b a100 64 2048 64 bf16 tp=8,pp=8,recompute=full megatron-2021
gpt3-175b a100 256 2048 1024 bf16 tp=16,pp=4,recompute=full
gpt3-175b a100 256 2048 1024 bf16 tp=32,pp=1,recompute=full
kimi-k2 h800 1024 4096 4096 bf16 pp=16,ep=16,recompute=full
`

// sweeps returns the steps of the sweep and those that scripts run.
func sweeps(t testing.TB) []situation {
	var out []situation
	for line := range strings.SplitSeq(strings.TrimSpace(sweep), "\n") {
		var s situation
		f := strings.Fields(line)
		s.model, s.cluster, s.work.DType, s.layout = f[0], f[1], f[5], f[6]
		if _, err := fmt.Sscan(strings.Join(f[2:5], " "), &s.devices, &s.work.Seq, &s.work.GlobalBatch); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if len(f) > 7 && f[7] != "-" {
			s.engine = f[7]
		}
		if len(f) > 8 {
			s.work.Optimizer = f[8]
		}
		out = append(out, s)
	}
	for _, r := range allRuns() {
		out = append(out, r.situation)
	}
	return out
}

// With -v, the table that an experienced eye should read now and then.
func TestPredictionsArePossible(t *testing.T) {
	for _, s := range sweeps(t) {
		c := loadCluster(t, s.cluster)
		m, step := s.on(t, c)
		p := &possible{t: t, s: s, c: c, m: m, step: step}
		p.utilization()
		p.products()
		p.optimizer()
		p.gradients()
		p.experts()
		p.shares()
		t.Log(p.line())
	}
}

// possible checks one prediction against what physics allows.
type possible struct {
	t    *testing.T
	s    situation
	c    *hardware.Cluster
	m    *costmodel.Model
	step *costmodel.Step
}

func (p *possible) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Errorf("%s on %d %s, %s %s: %s", p.s.model, p.s.devices, p.s.cluster, p.s.work.DType, p.s.layout, fmt.Sprintf(format, args...))
}

// links is the bandwidth of one device over all links at once, as catalogued.
func (p *possible) links() float64 {
	sum := 0.0
	for _, d := range p.c.Domains {
		sum += d.Bandwidth
	}
	return sum
}

// utilization is never near the peak: no training program is known to sustain
// three quarters of it in bf16, nor two thirds in fp8.
func (p *possible) utilization() {
	u, err := p.m.Utilization(p.step, arch.Megatron)
	if err != nil {
		p.fail("%v", err)
		return
	}
	most := 0.78
	if operator.DType(p.s.work.DType).Quantised() {
		most = 0.66
	}
	if u.Hardware > most || u.Value < 0.015 {
		p.fail("utilization of %.1f %%, with recomputation %.1f %%, want 1.5 to %.0f %%", 100*u.Value, 100*u.Hardware, 100*most)
	}
}

// products take at least their operations at the peak.
func (p *possible) products() {
	u, err := p.m.Utilization(p.step, arch.ByLedger)
	if err != nil {
		return
	}
	peak := u.Peak
	if least := u.PerToken * p.m.Workload.Tokens() / float64(p.s.devices) / peak; p.step.Seconds < least {
		p.fail("takes %.3f s, its operations at the peak %.3f s", p.step.Seconds, least)
	}
}

// optimizer reads and writes its state once, and not ten times.
func (p *possible) optimizer() {
	for i := range p.step.Stages {
		r, got := p.step.Memory[i], p.step.Stages[i].Optimizer
		state := float64(r.Optimizer + r.Host)
		if least := 2 * state / p.c.Device.Bandwidth; p.s.work.Optimizer != "muon" && (got < 0.7*least || got > 10*least+1e-3) {
			p.fail("the optimizer of stage %d takes %.4f s, reading and writing its state of %.3g bytes %.4f s", i, got, state, least)
		}
	}
}

// gradients cross links, all but this rank's own share.
func (p *possible) gradients() {
	l := p.step.Layout
	for i := range p.step.Stages {
		st := &p.step.Stages[i]
		var q operator.Parameters
		for j := range p.step.Shape.Chunks {
			q = q.Add(p.step.Chunks[i*p.step.Shape.Chunks+j].Parameters)
		}
		dense, expert := float64(l.Mesh.Degree(mesh.DPCP)), float64(l.Mesh.EDP())
		bytes := p.m.Engine.Gradient.Bytes() * (float64(q.Dense())*(1-1/dense) + float64(q.Expert)*(1-1/expert))
		all := st.Gradients + st.Gather + st.Hidden
		if least := bytes / p.links(); all < least {
			p.fail("gradients and weights of stage %d take %.4f s, links need %.4f s", i, all, least)
		}
		if slow := p.c.Domains[len(p.c.Domains)-1].Bandwidth; l.Zero < 3 && all > 8*bytes/(slow/4)+0.1 {
			p.fail("gradients and weights of stage %d take %.4f s for %.3g bytes", i, all, bytes)
		}
	}
}

// experts exchange at least the tokens that leave the rank, one copy to a node.
func (p *possible) experts() {
	for i := range p.step.Chunks {
		c := &p.step.Chunks[i]
		if p.step.Layout.Mesh.EP == 1 || c.Part.Blocks == 0 {
			continue
		}
		b := p.m.Cell(p.key()).Block(c.Part.First + c.Part.Blocks - 1)
		var payload float64
		for _, o := range b.Work.Forward {
			if o.Pattern == operator.AllToAll {
				payload += o.Payload / float64(max(1, o.TopK))
			}
		}
		f := b.PassCost.Forward
		if least := payload * (1 - 1/float64(p.step.Layout.Mesh.EP)) / p.links(); f.EP+f.Hidden < least {
			p.fail("dispatch and combine of a block take %.6f s, links need %.6f s", f.EP, least)
		}
		if f.EP > 0.9*f.Seconds() {
			p.fail("dispatch and combine are %.0f %% of a forward pass", 100*f.EP/f.Seconds())
		}
	}
}

func (p *possible) key() costmodel.Key {
	l := p.step.Layout
	again, err := operator.ParseRecompute(l.Recompute, p.m.Engine)
	if err != nil {
		p.fail("%v", err)
	}
	return costmodel.Key{TP: l.Mesh.TP, CP: l.Mesh.CP, EP: l.Mesh.EP, ETP: l.Mesh.ETP, MicroBatch: l.MicroBatch, Recompute: again}
}

// shares that no sound step has.
func (p *possible) shares() {
	limits := map[string]float64{"launch": 0.35, "pp": 0.2, "jitter": 0.15, "optimizer": 0.25, "vector": 0.35, "gather": 0.4, "gradients": 0.4, "ep": 0.65, "tp": 0.6, "bubble": 0.88}
	for _, b := range p.step.Breakdown {
		if most, ok := limits[b.Name]; ok && b.Seconds > most*p.step.Seconds {
			p.fail("%s takes %.0f %% of the step", b.Name, 100*b.Seconds/p.step.Seconds)
		}
	}
	if r := p.step.High / p.step.Low; r > 4 {
		p.fail("the interval spans a factor of %.1f", r)
	}
}

func (p *possible) line() string {
	u, _ := p.m.Utilization(p.step, arch.Megatron)
	var b strings.Builder
	fmt.Fprintf(&b, "%-17s %-14s %5d %-5s %-60s %7.2f s %6.0f tok/s/dev mfu %4.1f hfu %4.1f mem %5.1f of %5.1f |", p.s.model, p.s.cluster, p.s.devices, p.s.work.DType, p.s.layout,
		p.step.Seconds, p.step.TokensPerSecond(p.m.Workload)/float64(p.s.devices), 100*u.Value, 100*u.Hardware,
		float64(fullest(p.step).Total)/(1<<30), float64(p.c.Device.Memory)/(1<<30))
	for _, s := range p.step.Breakdown {
		if part := s.Seconds / p.step.Seconds; part >= 0.005 {
			fmt.Fprintf(&b, " %s %.0f", s.Name, 100*part)
		}
	}
	return b.String()
}
