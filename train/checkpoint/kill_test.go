package checkpoint

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// A process that saves as fast as it can is killed (SIGKILL) at many moments.
// Each time the newest save is sound, and not older than the last one that the
// process reported as done.
func TestKilledWhileSaving(t *testing.T) {
	if dir := os.Getenv("CHECKPOINT_CHILD"); dir != "" {
		saveForever(t, dir)
	}
	if testing.Short() {
		t.Skip("starts and kills many processes")
	}
	dir := t.TempDir()
	var first int64
	for round := range 12 {
		reported := killOne(t, dir, first, time.Duration(round*round)*2*time.Millisecond)
		got := room()
		l, err := Load(dir, got)
		if err != nil {
			t.Fatal(err)
		}
		if l.Step < reported || len(l.Damaged) != 0 {
			t.Fatalf("round %d: step %d was reported, %d is there; damaged %v", round, reported, l.Step, l.Damaged)
		}
		check(t, l, got)
		first = l.Step + 1
	}
}

func saveForever(t *testing.T, dir string) {
	s, err := OpenStore(dir, Options{MaxFile: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	first, _ := strconv.ParseInt(os.Getenv("CHECKPOINT_FIRST"), 10, 64)
	for step := first; ; step++ {
		if _, err := s.Save(stateAt(step)); err != nil {
			t.Fatal(err)
		}
		fmt.Println("saved", step)
	}
}

// killOne lets a child save from step first on, kills it some time after its
// first report, and returns the last step that it reported.
func killOne(t *testing.T, dir string, first int64, after time.Duration) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=TestKilledWhileSaving")
	cmd.Env = append(os.Environ(), "CHECKPOINT_CHILD="+dir, "CHECKPOINT_FIRST="+strconv.FormatInt(first, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var step int64
		if n, _ := fmt.Sscanf(lines.Text(), "saved %d", &step); n != 1 {
			t.Fatalf("the child says %q", lines.Text())
		}
		if last < 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		last = step
	}
	_ = cmd.Wait()
	if last < 0 {
		t.Fatal("the child saved nothing")
	}
	return last
}
