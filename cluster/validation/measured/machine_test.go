package measured

import (
	"strings"
	"testing"
)

func TestMachinesLoad(t *testing.T) {
	for _, label := range Machines() {
		device, network, _ := strings.Cut(label, " ")
		c, err := (&Case{Device: device, Network: network}).Cluster()
		if err != nil {
			t.Errorf("%s: %v", label, err)
			continue
		}
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", label, err)
		}
	}
}

func TestMachineOfANote(t *testing.T) {
	c, err := (&Case{Device: "A100-80G-SXM", Network: "800Gbps/node"}).Cluster()
	if err != nil {
		t.Fatal(err)
	}
	if out := c.Domains[len(c.Domains)-1]; out.Bandwidth != 12.5e9 {
		t.Errorf("800 Gb/s per node of 8 is %v B/s for each device, want 12.5e9", out.Bandwidth)
	}
	if _, err := (&Case{Position: "f.csv:3", Device: "H100-SXM", Network: "3Gbps/node"}).Cluster(); err == nil || !strings.Contains(err.Error(), "f.csv:3") {
		t.Errorf("an unknown network: %v", err)
	}
	if _, err := (&Case{Position: "f.csv:3", Device: "h10O"}).Cluster(); err == nil || !strings.Contains(err.Error(), "h100") {
		t.Errorf("an unknown machine: %v", err)
	}
}
