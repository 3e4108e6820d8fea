package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/distributed/linkbench"
	"github.com/temper-ml/temper/internal/unit"
	"github.com/temper-ml/temper/train/stepbench"
)

func newBenchLinksCmd() *cobra.Command {
	var asJSON, asYAML, quick bool
	cmd := &cobra.Command{
		Use:   "links",
		Short: "latency and bandwidth between ranks of this machine: in one process, over loopback TCP",
		Long: `Sends messages of many sizes and back, copied out at both ends, and prints the
time one way of each: latency is the least of them, bandwidth that of the
largest, which no cache holds. min is the fastest sample, median that of the samples.

--yaml prints both as domains for a description of a cluster.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && asYAML {
				return usageError{fmt.Errorf("--json and --yaml exclude each other")}
			}
			links, err := linkbench.Measure(samplesOf(quick).link)
			if err != nil {
				return err
			}
			w := cmd.OutOrStdout()
			switch {
			case asYAML:
				_, err := io.WriteString(w, linkDomains(links))
				return err
			case asJSON:
				return json.NewEncoder(w).Encode(struct {
					Machine machine            `json:"machine"`
					Results []stepbench.Result `json:"results"`
				}{thisMachine(), linkResults(links)})
			}
			printLinks(w, links)
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVar(&asYAML, "yaml", false, "print domains for a description of a cluster")
	f.BoolVar(&quick, "quick", false, "measure for a fraction of the time, less well")
	return cmd
}

// linkResults lists latency, bandwidth and every point of the links.
func linkResults(links []linkbench.Link) []stepbench.Result {
	var rs []stepbench.Result
	for _, l := range links {
		name := "link/" + l.Name
		first, last := l.Points[0], l.Points[len(l.Points)-1]
		rs = append(rs,
			stepbench.Result{Name: name + "/latency", Unit: "us", Value: 1e6 * l.Latency, Min: 1e6 * l.Latency, Median: 1e6 * first.Median, N: l.Samples},
			stepbench.Result{Name: name + "/bandwidth", Unit: "GB/s", Value: 1e-9 * l.Bandwidth, Min: 1e-9 * float64(last.Bytes) / last.Median, Median: 1e-9 * float64(last.Bytes) / last.Median, N: l.Samples})
		for _, p := range l.Points {
			rs = append(rs, stepbench.Result{Name: fmt.Sprintf("%s/bytes=%d", name, p.Bytes), Unit: "us", Value: 1e6 * p.Seconds, Min: 1e6 * p.Seconds, Median: 1e6 * p.Median, N: l.Samples})
		}
	}
	return rs
}

// printLinks prints a table for each link.
func printLinks(w io.Writer, links []linkbench.Link) {
	m := thisMachine()
	fmt.Fprintf(w, "cpu: %s, %d cores\ncommit: %s %s\n", m.CPU, m.Cores, m.Build.Revision, m.Build.Go)
	for _, l := range links {
		fmt.Fprintf(w, "\n%s: latency %.3g us, bandwidth %.3g GB/s\n%12s %12s %12s %10s\n", l.Name, 1e6*l.Latency, 1e-9*l.Bandwidth, "message", "us", "median us", "GB/s")
		for _, p := range l.Points {
			fmt.Fprintf(w, "%12s %12.3f %12.3f %10.3f\n", unit.Bytes(p.Bytes), 1e6*p.Seconds, 1e6*p.Median, 1e-9*float64(p.Bytes)/p.Seconds)
		}
	}
}

// linkDomains writes the links as the domains of a description.
func linkDomains(links []linkbench.Link) string {
	s := "# measured by temper bench links; sizes are yours to fill in\ndomains:\n"
	for _, l := range links {
		s += hardware.Domain{Name: l.Name, Size: 1, Latency: l.Latency, Bandwidth: l.Bandwidth, Efficiency: 1, Topology: "switch"}.YAML()
	}
	return s
}
