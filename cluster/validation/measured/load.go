package measured

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Load reads every CSV file of a folder, in the order of their names, and the
// rows that are embedded.
func Load(folder string) ([]Case, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.csv"))
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("measured: %s holds no CSV file", folder)
	}
	slices.Sort(names)
	var cases []Case
	for _, name := range names {
		more, err := loadFile(name)
		if err != nil {
			return nil, err
		}
		cases = append(cases, more...)
	}
	more, err := Published()
	if err != nil {
		return nil, err
	}
	return append(cases, more...), nil
}

// loadFile reads one file; positions carry its base name, so that a report does
// not depend on where the folder is.
func loadFile(name string) ([]Case, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("measured: %w", err)
	}
	defer f.Close()
	rows, err := ReadRows(filepath.Base(name), f)
	if err != nil {
		return nil, err
	}
	return Cases(rows)
}
