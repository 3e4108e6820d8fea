package verify

import (
	"fmt"
	"os"
	"path"
	"syscall"
)

// recordDir is where a run directory has its record.
const recordDir = "record"

// openFile opens a regular file below root for reading. A name that leads out
// of root, a directory, a pipe or a device is an error; nothing is waited for.
func openFile(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(path.Clean(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%.200q is no regular file", name)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
