package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/cluster/hardware"
	"github.com/temper-ml/temper/compute/kernel/devicebench"
	"github.com/temper-ml/temper/distributed/linkbench"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/train/stepbench"
)

func newBenchDeviceCmd() *cobra.Command {
	var (
		asJSON, asYAML bool
		out, name      string
		ranks          int
		quick          bool
	)
	cmd := &cobra.Command{
		Use:   "device",
		Short: "this machine as a device of a cluster: peak, memory, launch; prints what --cluster takes",
		Long: `Measures the peak of the multiply-add units and a large matrix product, on one
thread and on all, vectors in the cache, the bandwidth of memory, the cost of
starting an operation, and the links between ranks of this machine.

--yaml prints the description of a cluster of such machines, --out writes it to
a file; plan and simulate take it as --cluster FILE. Its scale-out network is the
loopback interface: edit it to what the machines really have.`,
		Args: exactArgs(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && asYAML {
				return usageError{fmt.Errorf("--json and --yaml exclude each other")}
			}
			if ranks < 1 || ranks > 1024 {
				return usageError{fmt.Errorf("--ranks must be 1 to 1024, got %d", ranks)}
			}
			m, results, err := measureMachine(name, ranks, samplesOf(quick))
			if err != nil {
				return err
			}
			if m.Busy {
				fmt.Fprintln(cmd.ErrOrStderr(), "temper: all threads together reach far less than one thread alone times their number: if other programs are running, measure again without them")
			}
			c, err := m.Cluster()
			if err != nil {
				return fmt.Errorf("what was measured makes no cluster: %w", err)
			}
			if out != "" {
				if err := durable.WriteFile(durable.OS, out, c.YAML()); err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "temper: wrote %s\n", out)
			}
			if asYAML {
				_, err := cmd.OutOrStdout().Write(c.YAML())
				return err
			}
			return report(cmd, asJSON, results)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.BoolVar(&asYAML, "yaml", false, "print the description of a cluster of such machines")
	f.StringVar(&out, "out", "", "write that description to this file")
	f.StringVar(&name, "name", "this-machine", "name of the description")
	f.IntVar(&ranks, "ranks", 1, "ranks that share the machine; a device is one rank's share")
	f.BoolVar(&quick, "quick", false, "measure for a fraction of the time, less well")
	return cmd
}

// benchTime is how thoroughly to measure.
type benchTime struct {
	device devicebench.Options
	link   linkbench.Options
}

func samplesOf(quick bool) benchTime {
	if !quick {
		return benchTime{}
	}
	return benchTime{
		device: devicebench.Options{Samples: 2, Time: 3e6, Product: 256, Stream: 4 << 20},
		link:   linkbench.Options{Samples: 2, Time: 1e6},
	}
}

// measureMachine measures everything that a description of this machine needs.
func measureMachine(name string, ranks int, o benchTime) (*hardware.Measurement, []stepbench.Result, error) {
	d, err := devicebench.Measure(o.device)
	if err != nil {
		return nil, nil, err
	}
	links, err := linkbench.Measure(o.link)
	if err != nil {
		return nil, nil, err
	}
	here := thisMachine()
	m := &hardware.Measurement{
		Name: name, CPU: here.CPU, Ranks: ranks,
		Source: fmt.Sprintf("temper bench device on %s, %d threads, %s", here.CPU, d.Threads, d.SIMD),
		Memory: d.Memory, Peak: d.Peak, Product: d.Product, Vector: d.Vector, Bandwidth: d.Bandwidth,
		LaunchProduct: d.LaunchProduct, LaunchRest: d.LaunchVector,
		Process:  hardware.MeasuredLink{Latency: links[0].Latency, Bandwidth: links[0].Bandwidth},
		Loopback: hardware.MeasuredLink{Latency: links[1].Latency, Bandwidth: links[1].Bandwidth},
	}
	m.Busy = d.Peak < 0.75*d.PeakOne*float64(d.Threads)
	var results []stepbench.Result
	for _, r := range d.Results {
		results = append(results, stepbench.Result(r))
	}
	results = append(results, stepbench.Result{Name: "memory/size", Value: float64(d.Memory), Unit: "B", Min: float64(d.Memory), Median: float64(d.Memory), N: 1})
	return m, append(results, linkResults(links)...), nil
}
