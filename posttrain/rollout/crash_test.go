package rollout

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/temper-ml/temper/internal/detrand"
	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
)

const childDir = "ROLLOUT_CHILD"

// dynamic are options with waves, of which an interruption must not change the course.
func dynamic(t testing.TB) Options {
	o := options(t)
	o.Dynamic, o.Config.Waves = true, 4
	o.Config.Group = 3
	o.Rewards = o.Rewards[:1]
	o.Rewards[0].Format.Pattern = "^[a-e]"
	return o
}

// childRounds is how many rounds a child process samples, one after the other.
const childRounds = 3

func sampleRounds(t testing.TB, o Options) []*Round {
	t.Helper()
	m := smallModel(t)
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var rounds []*Round
	for first := int64(0); len(rounds) < childRounds; {
		r, err := s.Sample(context.Background(), m, policyOf, int64(len(rounds)), first)
		if err != nil {
			t.Fatal(err)
		}
		rounds = append(rounds, r)
		first += r.Used
	}
	return rounds
}

// TestKilledProcess: a process that samples rounds is killed (kill -9) again and again,
// wherever it is. In the end the files are those of one that was left alone: the same
// answers of the same lengths, with the same digests.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv(childDir); dir != "" {
		o := dynamic(t)
		o.Dir = dir
		o.Tell = func(Progress) { _, _ = os.Stdout.Write([]byte("+")) } // the parent counts
		sampleRounds(t, o)
		return
	}
	o := dynamic(t)
	want := sampleRounds(t, o)
	passes := 0
	count := o
	count.Tell = func(Progress) { passes++ }
	sampleRounds(t, count)

	kills, killed := 25, 0
	if testing.Short() {
		kills = 8
	}
	dir := t.TempDir()
	random := detrand.Key(1, "kill")
	for n := 0; ; n++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$", "-test.count=1")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if n < kills {
			// On the average a child gets as far as leaves something for the next ones.
			wait := random.Uint64nAt(uint64(n), uint64(max(2, 2*passes/kills)))
			if _, err := io.ReadFull(out, make([]byte, 1+wait)); err == nil {
				killed++
			}
			_ = cmd.Process.Kill()
		}
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err == nil {
			break
		} else if n == kills {
			t.Fatalf("the last child failed: %v", err)
		}
	}
	t.Logf("%d of %d children were killed at work, in a stage of %d passes", killed, kills, passes)
	if killed < kills/2 {
		t.Errorf("only %d children were killed at work", killed)
	}
	o.Dir = dir
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i, w := range want {
		got, err := s.Read(int64(i))
		if err != nil {
			t.Fatal(err)
		}
		same(t, got, w)
	}
	if left, _ := os.ReadDir(dir); len(left) != childRounds+1 { // and the lock
		t.Errorf("left behind: %v", left)
	}
}

// TestFailingDiskLosesNothing: whatever call fails, whether it happened or not, the round
// is continued to the same answers.
func TestFailingDiskLosesNothing(t *testing.T) {
	m, o := smallModel(t), options(t)
	o.Config.Prompts = 2
	want := whole(t, o, m, 0, 0)
	try := func(fs durable.FS, dir string) (*Round, error) {
		o := o
		o.FS, o.Dir = fs, dir
		s, err := NewSampler(o)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		return s.Sample(context.Background(), m, policyOf, 0, 0)
	}
	fast := durabletest.NoSync(durable.OS)
	clean := &durabletest.Faulty{FS: fast}
	if _, err := try(clean, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 5
	}
	for at := 1; at <= clean.Calls(); at += step {
		for _, mode := range []string{"failed", "lost", "failed+death", "lost+power", "failed+power"} {
			dir := t.TempDir()
			fs := &durabletest.Faulty{FS: fast, FailAt: at, Lost: strings.HasPrefix(mode, "lost"), Dead: strings.Contains(mode, "+")}
			r, err := try(fs, dir)
			if err == nil {
				same(t, r, want) // passes are not always as many
				continue
			}
			if !errors.Is(err, durabletest.ErrInjected) {
				t.Fatalf("call %d (%s): %v", at, mode, err)
			}
			if strings.HasSuffix(mode, "power") {
				if err := fs.PowerCut(); err != nil {
					t.Fatal(err)
				}
			}
			if r, err = try(fast, dir); err != nil {
				t.Fatalf("after call %d (%s): %v", at, mode, err)
			}
			same(t, r, want)
		}
	}
}

// TestOneWriter: a directory belongs to one sampler.
func TestOneWriter(t *testing.T) {
	o := options(t)
	o.Dir = t.TempDir()
	s, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSampler(o); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := NewSampler(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
