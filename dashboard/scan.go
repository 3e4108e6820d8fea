package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/temper-ml/temper/report/runlog"
)

// Limits of a search for records.
const (
	maxDepth   = 5
	maxRuns    = 2000
	maxFolders = 20000
	maxNames   = 10000 // of one directory
)

// recordDir is the directory of the record in that of its run.
const recordDir = "record"

// found is a record and the run it belongs to, by their paths.
type found struct{ path, name string }

// search finds the records below a directory: DIR/record, DIR/*/record and so
// on, at most maxDepth deep, or the directory itself. It goes into no run, no
// hidden directory and through no symbolic link. short says that it stopped for
// a limit.
func search(root *os.Root) (runs []found, short string, err error) {
	if isRecord(root, ".") {
		return []found{{".", path.Base(clean(root.Name()))}}, "", nil
	}
	level := []string{"."}
	for depth, folders := 0, 0; len(level) > 0 && depth <= maxDepth; depth++ {
		var next []string
		for _, dir := range level {
			if folders++; folders > maxFolders {
				return runs, fmt.Sprintf("more than %d directories: runs beyond them are not shown", maxFolders), nil
			}
			if sub := path.Join(dir, recordDir); isRecord(root, sub) {
				if len(runs) == maxRuns {
					return runs, fmt.Sprintf("more than %d runs: the others are not shown", maxRuns), nil
				}
				name := dir
				if dir == "." {
					name = path.Base(clean(root.Name()))
				}
				runs = append(runs, found{sub, name})
				continue
			}
			names, err := folderNames(root, dir)
			if err != nil && dir == "." {
				return nil, "", err
			}
			next = append(next, names...)
		}
		level = next
	}
	return runs, "", nil
}

// clean is a path of the machine with slashes.
func clean(dir string) string {
	return strings.ReplaceAll(dir, string(os.PathSeparator), "/")
}

// folderNames lists the directories in a directory, sorted.
func folderNames(root *os.Root, dir string) ([]string, error) {
	d, err := open(root, dir, fs.FileMode.IsDir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// isRecord says that a directory, which is no link, holds a manifest and a log.
func isRecord(root *os.Root, dir string) bool {
	if info, err := root.Lstat(dir); err != nil || !info.IsDir() {
		return false
	}
	for _, name := range []string{runlog.ManifestName, runlog.LogName} {
		if info, err := root.Lstat(path.Join(dir, name)); err != nil || !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// errKind refuses what is no regular file, or no directory.
var errKind = errors.New("not a regular file")

// open opens a file that must be of a kind, and no symbolic link. It does not
// wait for the other end of a pipe.
func open(root *os.Root, name string, kind func(fs.FileMode) bool) (*os.File, error) {
	before, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !kind(before.Mode()) {
		return nil, &fs.PathError{Op: "open", Path: path.Base(name), Err: errKind}
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = &fs.PathError{Op: "open", Path: path.Base(name), Err: errKind}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// identifier names a run in addresses: letters and digits of its name, and a
// digest of its path that tells it from others. It is no path.
func identifier(f found) string {
	var b strings.Builder
	for _, c := range strings.ToLower(f.name) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 40 {
			break
		}
	}
	sum := sha256.Sum256([]byte(f.path))
	return strings.Trim(b.String(), "-") + "-" + hex.EncodeToString(sum[:5])
}
