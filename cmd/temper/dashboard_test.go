package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// A run's metrics are served from before its directory exists until it ends.
func TestMetricsBesideARun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	var stderr bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&stderr)
	cmd.SetContext(t.Context())
	stop, err := serveBeside(cmd, "127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`http://\S+/metrics`).FindString(stderr.String())
	ask := func() string {
		t.Helper()
		r, err := http.Get(address) //nolint:noctx // a test
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatal(r.Status, err)
		}
		return string(b)
	}
	if got := ask(); got != "" {
		t.Errorf("metrics of nothing: %q", got)
	}
	key, err := runlog.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	m := &record.Manifest{
		Run: "r", Model: map[string]record.Digest{}, Data: []record.File{}, Program: record.Program{Modules: map[string]string{}, Build: map[string]string{}},
		Hosts: []record.Host{}, Ranks: 1, Mesh: record.One(), Links: []record.Link{}, Devices: []record.Device{}, Clock: "system",
	}
	w, err := runlog.Create(filepath.Join(dir, "record"), m, key, runlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		if _, err := w.Append(&record.Step{Step: i, Tokens: 10, Losses: map[string]float64{"lm": 1}}); err != nil {
			t.Fatal(err)
		}
		for want := fmt.Sprintf("temper_steps_total{run=\"r\"} %d\n", i+1); !strings.Contains(ask(), want); {
		}
	}
	stop()
	if _, err := http.Get(address); err == nil { //nolint:noctx // a test
		t.Error("it is served after stop")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
