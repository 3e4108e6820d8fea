package runlog_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/temper-ml/temper/report/runlog"
)

func TestKeyIsMadeOnFirstUse(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	t.Setenv(runlog.KeyVariable, "")
	k, created, err := runlog.DefaultKey()
	if err != nil || !created {
		t.Fatal(created, err)
	}
	again, created, err := runlog.DefaultKey()
	if err != nil || created || again.Verifier() != k.Verifier() || again.String() != k.Verifier() {
		t.Errorf("second use: %v, %v", created, err)
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "temper", "signing.key")
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(name)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{name, string(text)} {
		t.Setenv(runlog.KeyVariable, given)
		if k2, _, err := runlog.DefaultKey(); err != nil || k2.Verifier() != k.Verifier() {
			t.Errorf("given key: %v", err)
		}
	}
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := runlog.LoadKey(name); err == nil || !strings.Contains(err.Error(), "mode 0640") {
		t.Errorf("readable by others: %v", err)
	}
	t.Setenv(runlog.KeyVariable, filepath.Join(dir, "none"))
	if _, _, err := runlog.DefaultKey(); err == nil {
		t.Error("a file that was named is not made")
	}
}

func TestKeysDoNotShow(t *testing.T) {
	for _, text := range []string{"", "PRIVATE+KEY+temper+00000000+c2VjcmV0", "PRIVATE+KEY+secret", "secret"} {
		if _, err := runlog.ParseKey(text); err == nil || strings.Contains(err.Error(), "c2VjcmV0") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Printing a key, however it is done, shows nothing of the secret.
func TestPrintedKeysDoNotShow(t *testing.T) {
	text, _, err := note.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{0xa7}, 32)), "temper")
	if err != nil {
		t.Fatal(err)
	}
	k, err := runlog.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	secret := text[strings.LastIndex(text, "+")+1:]
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		for _, v := range []any{k, *k, k.Envelope(), *k.Envelope()} {
			got := fmt.Sprintf(format, v)
			if strings.Contains(got, "a7a7a7") || strings.Contains(got, "0xa7, 0xa7") || strings.Contains(got, "167 167 167") || strings.Contains(got, secret[4:12]) {
				t.Errorf("%s of %T shows %s", format, v, got)
			}
		}
	}
}

// Processes that make the key at the same time use the same one.
func TestOneKeyWins(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a", "key")
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, _, err := runlog.FileKey(name)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = k.Verifier()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Errorf("several keys: %q", keys)
		}
	}
}
