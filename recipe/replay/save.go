package replay

import (
	"fmt"
	"path/filepath"

	"github.com/temper-ml/temper/report/verify"
	"github.com/temper-ml/temper/train/checkpoint"
)

// save is a checkpoint that the record names and the run still keeps.
type save struct {
	*verify.Checkpoint
	checkpoint.Entry
}

// at is the position of the save.
func (s *save) at() verify.Position { return s.Checkpoint.Position() }

// findSaves returns the saves of a run by position, the last of each.
func findSaves(l *verify.Log) (map[verify.Position]*save, error) {
	saves := map[verify.Position]*save{}
	listed := map[string]map[string]checkpoint.Entry{} // by folder and name
	for i := range l.Checkpoints {
		c := &l.Checkpoints[i]
		path := filepath.FromSlash(c.Path)
		if c.Path == "" {
			continue
		}
		if !filepath.IsLocal(path) {
			return nil, fmt.Errorf("%w: entry %d: checkpoint %.80q leads out of the run directory", verify.ErrState, c.Index, c.Path)
		}
		dir, name := filepath.Split(path)
		if listed[dir] == nil {
			listed[dir] = map[string]checkpoint.Entry{}
			all, err := checkpoint.List(filepath.Join(l.Dir, dir))
			if err != nil {
				return nil, err
			}
			for _, e := range all {
				listed[dir][filepath.Base(e.Path)] = e
			}
		}
		if e, ok := listed[dir][name]; ok {
			saves[c.Position()] = &save{c, e}
		}
	}
	return saves, nil
}
