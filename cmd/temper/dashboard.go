package main

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/dashboard"
	"github.com/temper-ml/temper/internal/httpguard"
)

func newDashboardCmd() *cobra.Command {
	addr := "127.0.0.1:8787"
	var hosts []string
	cmd := &cobra.Command{
		Use:   "dashboard DIR",
		Short: "show runs in a browser while they go on and afterwards, and their metrics to Prometheus",
		Long: `Serves a page about the runs below a directory, or about one run, that keeps
itself up to date, and metrics for Prometheus at /metrics. It reads the runs'
records and nothing else, changes nothing, and needs nothing from elsewhere.

By default only this machine reaches it. Any other address is served to whoever
can connect: there is no password and no encryption, so put a proxy or a tunnel
before it. Requests must call the server by its address or by a name given with
--host; what others ask is refused. Ctrl-C stops it.`,
		Example: `  temper dashboard runs
  temper dashboard runs --addr 0.0.0.0:8787 --host gpu7.example.org`,
		Args: exactArgs(1, "a directory of runs"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := os.Stat(args[0])
			if err == nil && !info.IsDir() {
				err = fmt.Errorf("%s is no directory: give a run, or a directory that runs are in", args[0])
			}
			if err != nil {
				return usageError{err}
			}
			return serveDashboard(cmd, addr, dashboard.Options{Dir: args[0], Hosts: hosts})
		},
	}
	cmd.Flags().StringVar(&addr, "addr", addr, "address to serve at; port 0 takes a free one")
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "another name that the server is called by (repeatable)")
	return cmd
}

// serveDashboard serves until the command is interrupted, which is no failure.
func serveDashboard(cmd *cobra.Command, addr string, o dashboard.Options) error {
	l, err := listen(cmd, addr, &o)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "http://%s/\n", shown(l))
	return dashboard.NewServer(o).Run(cmd.Context(), l)
}

// serveBeside serves a run directory, which may not be there yet, until stop.
func serveBeside(cmd *cobra.Command, addr, dir string) (stop func(), err error) {
	o := dashboard.Options{Dir: dir}
	l, err := listen(cmd, addr, &o)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "temper: http://%s/ shows the run, http://%s/metrics has its metrics\n", shown(l), shown(l))
	ctx, cancel := context.WithCancel(cmd.Context())
	done := make(chan error, 1)
	go func() { done <- dashboard.NewServer(o).Run(ctx, l) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "temper: dashboard: %v\n", err)
		}
	}, nil
}

// shown is the address to type on this machine.
func shown(l net.Listener) string {
	a := l.Addr().(*net.TCPAddr)
	if a.IP.IsUnspecified() {
		return fmt.Sprintf("localhost:%d", a.Port)
	}
	return a.String()
}

// listen opens an address, and warns when it is open to others.
func listen(cmd *cobra.Command, addr string, o *dashboard.Options) (net.Listener, error) {
	public, err := httpguard.Address(addr)
	if err != nil {
		return nil, usageError{err}
	}
	if host, _, _ := net.SplitHostPort(addr); host != "" && net.ParseIP(host) == nil {
		o.Hosts = append(o.Hosts, host)
	}
	l, err := (&net.ListenConfig{}).Listen(cmd.Context(), "tcp", addr)
	if err != nil {
		return nil, usageError{fmt.Errorf("%w: give another address", err)}
	}
	if public {
		fmt.Fprintf(cmd.ErrOrStderr(), "temper: warning: %s is open to the network: whoever reaches it reads the runs, without password or encryption\n", addr)
	}
	return l, nil
}
