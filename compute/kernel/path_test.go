package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSetPath(t *testing.T) {
	first := Path()
	defer SetPath(first)
	ps := Paths()
	if ps[0] != "go" || first != ps[len(ps)-1] && os.Getenv("TEMPER_SIMD") == "" {
		t.Errorf("paths %v, active %q: want go first and the last one active", ps, first)
	}
	for _, p := range ps {
		before := Path()
		if old, err := SetPath(p); err != nil || old != before || Path() != p {
			t.Errorf("SetPath(%q) = %q, %v and Path() = %q; want %q", p, old, err, Path(), before)
		}
	}
	for _, bad := range []string{"", "AVX2", "sse", "avx2", "neon"} {
		if slices.Contains(ps, bad) {
			continue
		}
		before := Path()
		if _, err := SetPath(bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("SetPath(%q): error %v, want one that names it", bad, err)
		}
		if Path() != before {
			t.Errorf("SetPath(%q) changed the path to %q", bad, Path())
		}
	}
}

// TestEnvironment starts this test binary anew with settings that are obeyed
// or refused.
func TestEnvironment(t *testing.T) {
	if want := os.Getenv("KERNEL_TEST_WANT"); want != "" {
		if got := fmt.Sprint(Path(), " ", Threads()); got != want {
			t.Fatalf("path and threads are %s, want %s", got, want)
		}
		return
	}
	for _, c := range []struct{ simd, threads, want, fails string }{
		{"go", "3", "go 3", ""},
		{"", "1", Paths()[len(Paths())-1] + " 1", ""},
		{"mmx", "1", "none", `unknown path "mmx"`},
		{"go", "0", "none", `TEMPER_THREADS must be 1 to 1024, got "0"`},
		{"go", "two", "none", `got "two"`},
	} {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestEnvironment$")
		cmd.Env = append(os.Environ(), "TEMPER_SIMD="+c.simd, "TEMPER_THREADS="+c.threads, "KERNEL_TEST_WANT="+c.want)
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.ENOEXEC) {
			t.Skip("this machine runs the tests by emulation and cannot start them anew")
		}
		if c.fails == "" && err != nil || c.fails != "" && (err == nil || !strings.Contains(string(out), c.fails)) {
			t.Errorf("%+v: %v\n%s", c, err, out)
		}
	}
}

func TestPeakFMA(t *testing.T) {
	for _, p := range Paths() {
		f, err := PeakFMA(p, 1, time.Millisecond)
		if err != nil || f < 1e6 || f > 1e13 {
			t.Errorf("PeakFMA(%q) = %g, %v", p, f, err)
		}
	}
	if _, err := PeakFMA("sse", 1, 0); err == nil {
		t.Error("no error for a path that does not exist")
	}
	if _, err := PeakFMA("go", 0, 0); err == nil || !strings.Contains(err.Error(), "got 0") {
		t.Errorf("error for no threads: %v", err)
	}
}
