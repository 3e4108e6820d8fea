package durabletest

import "github.com/temper-ml/temper/internal/durable"

// NoSync is an FS that does not wait for the disk: tests of what happens in
// memory, and of order, are faster on it. Under a [Faulty] the calls still count.
func NoSync(fs durable.FS) durable.FS { return noSync{fs} }

type noSync struct{ durable.FS }

func (noSync) SyncDir(string) error { return nil }

func (n noSync) Create(name string) (durable.File, error) {
	f, err := n.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return noSyncFile{f}, nil
}

func (n noSync) Append(name string, size int64) (durable.File, error) {
	f, err := n.FS.Append(name, size)
	if err != nil {
		return nil, err
	}
	return noSyncFile{f}, nil
}

type noSyncFile struct{ durable.File }

func (noSyncFile) Sync() error { return nil }
