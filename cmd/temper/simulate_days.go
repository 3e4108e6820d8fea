package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/campaign/goodput"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/internal/unit"
)

// played is what became of the days.
type played struct {
	days     float64
	nodes    int
	mtbf     float64 // of the whole job, seconds; 0 when nothing fails
	result   *goodput.Result
	policies []campaign.PolicyResult
}

// play lets a run of s.days of training meet the failures of the cluster.
func (s *simulation) play(m *costmodel.Model) (*played, error) {
	policy, err := campaign.PolicyOf(s.policy, m.Cluster)
	if err != nil {
		return nil, usageError{fmt.Errorf("--policy: %w", err)}
	}
	setting := campaign.Setting{Model: m.Arch, Cluster: m.Cluster, Devices: m.Devices, Muon: m.Workload.Optimizer == "muon", Policy: policy}
	work := s.days * 24 * 3600
	run := setting.Run(work)
	out := &played{days: s.days, nodes: m.Cluster.Nodes(m.Devices)}
	if m.Cluster.Failure.MTBF > 0 {
		out.mtbf = m.Cluster.Failure.MTBF / float64(m.Devices)
	}
	if out.result, err = run.Play(); err != nil {
		return nil, err
	}
	out.policies, err = setting.Policies(work, m.Cluster.NodeSize)
	return out, err
}

// seconds prints a time as a person says it.
func secondsWords(s float64) string { return unit.Duration(time.Duration(s * float64(time.Second))) }

// explain prints the days in words.
func (p *played) explain(w io.Writer) {
	r := p.result
	fmt.Fprintf(w, "\n%g days of training on %d nodes\n", p.days, p.nodes)
	if p.mtbf > 0 {
		fmt.Fprintf(w, "  an interruption every %s on average, %.1f in the whole run:", secondsWords(p.mtbf), sumOf(r.Interruptions))
		var causes []string
		for i, c := range r.Interruptions {
			if i < 4 && c.Value >= 0.05 {
				causes = append(causes, fmt.Sprintf(" %.1f %s", c.Value, c.Name))
			}
		}
		fmt.Fprintf(w, "%s\n", strings.Join(causes, ","))
		fmt.Fprintf(w, "  a checkpoint every %s (Daly's formula says %s)\n", secondsWords(r.Interval), secondsWords(r.Daly))
	} else {
		fmt.Fprintf(w, "  nothing fails: the description of the cluster has no failure rate\n")
	}
	fmt.Fprintf(w, "  goodput %.1f %%, ETTR %.1f %%; done after %s (10 %%: %s, 90 %%: %s)\n", 100*r.Goodput, 100*r.ETTR,
		secondsWords(r.Finish.P50), secondsWords(r.Finish.P10), secondsWords(r.Finish.P90))
	for _, l := range r.Losses {
		if share := l.Value / r.Wall; share >= 0.0005 {
			fmt.Fprintf(w, "  %6.2f %%  %s\n", 100*share, l.Name)
		}
	}
	fmt.Fprintf(w, "\n  ways to recover   goodput     ETTR  spare nodes   done in half of all runs after\n")
	for _, q := range p.policies {
		fmt.Fprintf(w, "  %-15s  %6.1f %%  %5.1f %%  %11d   %s\n", q.Name, 100*q.Goodput, 100*q.ETTR, q.Spares, secondsWords(q.Finish.P50))
	}
}

func sumOf(parts []goodput.Part) float64 {
	sum := 0.0
	for _, p := range parts {
		sum += p.Value
	}
	return sum
}
