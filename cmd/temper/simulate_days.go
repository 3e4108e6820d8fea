package main

import (
	"fmt"
	"time"

	"github.com/temper-ml/temper/cluster/campaign"
	"github.com/temper-ml/temper/cluster/costmodel"
	"github.com/temper-ml/temper/internal/unit"
)

// play lets s.days of the step meet the failures of the cluster.
func (s *simulation) play(m *costmodel.Model, step *costmodel.Step) (*campaign.DaysResult, error) {
	if _, err := campaign.PolicyOf(s.policy, m.Cluster); err != nil {
		return nil, usageError{fmt.Errorf("--policy: %w", err)}
	}
	return campaign.Days(m, step, s.days, s.policy)
}

// secondsWords prints a time as a person says it.
func secondsWords(s float64) string { return unit.Duration(time.Duration(s * float64(time.Second))) }
