package durable_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/temper-ml/temper/internal/durable"
	"github.com/temper-ml/temper/internal/durable/durabletest"
)

// writeDir makes a directory of two files, as a checkpoint does.
func writeDir(fs durable.FS, final string) error {
	d, err := durable.NewDir(fs, final)
	if err != nil {
		return err
	}
	defer d.Abort()
	f, err := d.Create("data")
	if err != nil {
		return err
	}
	for range 3 {
		if _, err := f.Write([]byte("0123456789")); err != nil {
			f.Discard()
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := d.WriteFile("meta", []byte("meta")); err != nil {
		return err
	}
	return d.Commit()
}

// check demands all of the directory or nothing of it.
func check(t *testing.T, final string, mustExist bool) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(final, "data"))
	meta, err2 := os.ReadFile(filepath.Join(final, "meta"))
	if errors.Is(err, os.ErrNotExist) && errors.Is(err2, os.ErrNotExist) {
		if _, err := os.Stat(final); mustExist || err == nil {
			t.Errorf("directory lost or empty: must exist %v, stat %v", mustExist, err)
		}
		return
	}
	if string(data) != strings.Repeat("0123456789", 3) || string(meta) != "meta" {
		t.Errorf("half a directory: data %q, meta %q", data, meta)
	}
}

// Every call of writing a directory fails once, in both ways, with the process
// going on, dying, or losing power. The directory is whole or absent; a later
// attempt succeeds.
func TestDirIsAllOrNothing(t *testing.T) {
	clean := &durabletest.Faulty{FS: durable.OS}
	if err := writeDir(clean, filepath.Join(t.TempDir(), "a", "b")); err != nil {
		t.Fatal(err)
	}
	if clean.Calls() < 12 {
		t.Fatalf("only %d calls: %v", clean.Calls(), clean.Log())
	}
	for at := 1; at <= clean.Calls(); at++ {
		for _, mode := range []string{"failed", "lost", "failed+death", "lost+death", "failed+power", "lost+power"} {
			t.Run(fmt.Sprintf("%d-%s", at, mode), func(t *testing.T) {
				root := t.TempDir()
				final := filepath.Join(root, "a", "b")
				fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Lost: strings.HasPrefix(mode, "lost"), Dead: strings.Contains(mode, "+")}
				err := writeDir(fs, final)
				if strings.HasSuffix(mode, "power") {
					if err := fs.PowerCut(); err != nil {
						t.Fatal(err)
					}
				}
				check(t, final, err == nil)
				if _, statErr := os.Stat(final); statErr == nil {
					return // the reply was lost: it is there, and whole
				}
				if err := writeDir(durable.OS, final); err != nil {
					t.Fatalf("second attempt: %v", err)
				}
				check(t, final, true)
				if left, _ := filepath.Glob(filepath.Join(root, "a", ".*")); len(left) != 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		}
	}
}

func TestWriteFileKeepsOldOrNew(t *testing.T) {
	for at := 1; at <= 7; at++ {
		for _, lost := range []bool{false, true} {
			name := filepath.Join(t.TempDir(), "f")
			if err := durable.WriteFile(durable.OS, name, []byte("old")); err != nil {
				t.Fatal(err)
			}
			fs := &durabletest.Faulty{FS: durabletest.NoSync(durable.OS), FailAt: at, Lost: lost, Dead: true}
			err := durable.WriteFile(fs, name, []byte("new"))
			got, readErr := os.ReadFile(name)
			if readErr != nil || string(got) != "old" && string(got) != "new" || err == nil && string(got) != "new" {
				t.Errorf("call %d, lost %v: content %q, %v, after %v", at, lost, got, readErr, err)
			}
		}
	}
}

func TestFullDiskSaysSo(t *testing.T) {
	fs := &durabletest.Faulty{FS: durable.OS, FailAt: 7, Err: syscall.ENOSPC}
	root := t.TempDir()
	err := writeDir(fs, filepath.Join(root, "a", "b"))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "a", "*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestNewDirRefusesWhatExists(t *testing.T) {
	final := filepath.Join(t.TempDir(), "x")
	if err := writeDir(durable.OS, final); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.NewDir(durable.OS, final); err == nil || !strings.Contains(err.Error(), "holds 2 entries") {
		t.Errorf("got %v", err)
	}
	other := final + "2"
	d, err := durable.NewDir(durable.OS, other)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Abort()
	if _, err := durable.NewDir(durable.OS, other); err == nil || !strings.Contains(err.Error(), "another process is writing") {
		t.Errorf("got %v", err)
	}
}

func TestAcquireRefusesSecondClaim(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	l, err := durable.Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = durable.Acquire(dir)
	if !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("got %v", err)
	}
	l.Release()
	l.Release()
	if l, err = durable.Acquire(dir); err != nil {
		t.Fatal(err)
	}
	l.Release()
}

// A lock dies with its process, even when the process is killed.
func TestLockDiesWithProcess(t *testing.T) {
	if dir := os.Getenv("DURABLE_LOCK_CHILD"); dir != "" {
		if _, err := durable.Acquire(dir); err != nil {
			t.Fatal(err)
		}
		runtime.GC() // a lock that nobody keeps is still a lock
		runtime.GC()
		fmt.Println("locked")
		select {}
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=TestLockDiesWithProcess")
	cmd.Env = append(os.Environ(), "DURABLE_LOCK_CHILD="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var b [6]byte
	if _, err := out.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := durable.Acquire(dir); !errors.Is(err, durable.ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Errorf("while the child lives: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	l, err := durable.Acquire(dir)
	if err != nil {
		t.Fatalf("after the child died: %v", err)
	}
	l.Release()
}

func TestReserveKnowsTheDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not", "yet")
	if err := durable.Reserve(path, 1); err != nil {
		t.Error(err)
	}
	free, err := durable.Free(path)
	if err != nil {
		t.Fatal(err)
	}
	if free > 1<<60 {
		t.Skip("free space is not known on this system")
	}
	if err := durable.Reserve(path, 1<<60); err == nil || !strings.Contains(err.Error(), "1.00 EiB") {
		t.Errorf("got %v", err)
	}
}

func TestWriteStreamReplacesNothingWhenWriteFails(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := durable.WriteFile(durable.OS, name, []byte("old")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the producer gave up")
	err := durable.WriteStream(durable.OS, name, func(w io.Writer) error {
		if _, err := io.WriteString(w, "half of the n"); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("got error %v, want the writer's own", err)
	}
	if got, _ := os.ReadFile(name); string(got) != "old" {
		t.Errorf("the file holds %q, want the old content", got)
	}
	if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 1 {
		t.Errorf("%d files are left, want only the old one", len(left))
	}
}
