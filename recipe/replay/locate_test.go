package replay

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/verify"
)

func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func located(t *testing.T, name, text string, roots ...string) (string, error) {
	t.Helper()
	m := &record.Manifest{Data: []record.File{
		{Path: "other.txt", Digest: record.SHA256([]byte("other")), Bytes: 5},
		{Path: name, Digest: record.SHA256([]byte(text)), Bytes: int64(len(text))},
	}}
	return newLocator(m, &recipe.Recipe{}, roots, "").path(name)
}

func TestFilesAreFoundAndHeldAgainstTheManifest(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	t.Setenv("TEMPER_TEST_DATA", b)
	deep := put(t, filepath.Join(a, "in", "x.txt"), "right")
	flat := put(t, filepath.Join(b, "x.txt"), "right")
	wrong := put(t, filepath.Join(a, "x.txt"), "wrong")
	for _, c := range []struct {
		name  string
		roots []string
		want  string
	}{
		{"in/x.txt", []string{a, b}, deep},
		{"in/x.txt", []string{b, a}, flat},
		{"${TEMPER_TEST_DATA}/x.txt", nil, flat},
		{"${TEMPER_NO_SUCH_VARIABLE}/in/x.txt", []string{a}, deep},
		{"../../x.txt", []string{b}, flat},
		{"/nowhere/x.txt", []string{a, b}, flat}, // passes over the wrong one
	} {
		if got, err := located(t, c.name, "right", c.roots...); err != nil || got != c.want {
			t.Errorf("%s in %v: %q, %v, want %s", c.name, c.roots, got, err, c.want)
		}
	}
	_, err := located(t, "x.txt", "right", a)
	var m *Missing
	if !errors.As(err, &m) || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a changed file: %v", err)
	}
	_, err = located(t, "x.txt", "right one", a)
	if !errors.As(err, &m) || !strings.Contains(err.Error(), "5 bytes, the run read 9") {
		t.Errorf("a file of another size: %v", err)
	}
	if _, err = located(t, "y.txt", "right", a, b); !errors.As(err, &m) || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err = located(t, "in", "right", a); err == nil {
		t.Error("a directory was taken for a file")
	}
}

func TestFilesWithoutADigestAreNotRead(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "secret"), "x")
	l := newLocator(&record.Manifest{}, &recipe.Recipe{}, []string{dir}, "")
	if _, err := l.path("secret"); !errors.Is(err, verify.ErrState) {
		t.Errorf("%v, want %v", err, verify.ErrState)
	}
}
