package execution

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/temper-ml/temper/recipe"
	"github.com/temper-ml/temper/report/record"
	"github.com/temper-ml/temper/report/runlog"
)

// RecordName is the directory of the record in a run directory.
const RecordName = "record"

// keyName is the signing key in a run directory, where there is no other.
const keyName = "record.key"

// Key returns the key that signs the record of the run in dir. For a new run it
// is the recipe's record.key; else the user's; else, where that cannot be made,
// one in dir: a run does not fail for want of a key. A run that is continued
// needs the key that it began with, wherever that is. note is something that a
// person should know of the choice, or empty.
func Key(r *recipe.Recipe, dir string) (k *runlog.Key, note string, err error) {
	m, err := manifestOf(dir)
	if err != nil {
		return nil, "", err
	}
	if m != nil {
		k, err = knownKey(r, dir, m.Signer)
		return k, "", err
	}
	if r.Record.Key != "" {
		path, err := r.Path(r.Record.Key)
		if err != nil {
			return nil, "", err
		}
		k, created, err := runlog.FileKey(path)
		if err != nil {
			return nil, "", fmt.Errorf("record.key: %w", err)
		}
		return k, made(created, path), nil
	}
	k, created, err := runlog.DefaultKey()
	if err == nil {
		path, _ := runlog.KeyFile()
		return k, made(created, path), nil
	}
	if os.Getenv(runlog.KeyVariable) != "" {
		return nil, "", err // it was asked for
	}
	k, _, own := runKey(dir)
	if own != nil {
		return nil, "", errors.Join(err, own)
	}
	return k, fmt.Sprintf("%v; the record is signed with %s instead: who has that file can sign as you, so leave it out when you publish the run", err, filepath.Join(dir, keyName)), nil
}

func made(created bool, path string) string {
	if !created {
		return ""
	}
	return "made the signing key " + path + ": keep it, and keep it to yourself"
}

// runKey returns the key in the run directory, made on first use.
func runKey(dir string) (k *runlog.Key, created bool, err error) {
	return runlog.FileKey(filepath.Join(dir, keyName))
}

// manifestOf returns the manifest of the record in a run directory, nil if there
// is no record.
func manifestOf(dir string) (*record.Manifest, error) {
	dir = filepath.Join(dir, RecordName)
	if _, err := os.Stat(filepath.Join(dir, runlog.ManifestName)); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	log, err := runlog.OpenReader(dir, runlog.Trust{})
	if err != nil {
		return nil, fmt.Errorf("run: the record cannot be continued: %w", err)
	}
	return &log.Manifest, log.Close()
}

// knownKey finds the key that a record was begun with. It makes none.
func knownKey(r *recipe.Recipe, dir, signer string) (*runlog.Key, error) {
	var tried []string
	try := func(where, path string, err error) *runlog.Key {
		var k *runlog.Key
		if err == nil {
			k, err = runlog.LoadKey(path)
		}
		switch {
		case errors.Is(err, os.ErrNotExist):
			tried = append(tried, where+" does not exist")
		case err != nil:
			tried = append(tried, where+": "+err.Error())
		case k.Verifier() == signer:
			return k
		default:
			tried = append(tried, where+" is the key of "+k.Verifier())
		}
		return nil
	}
	if r.Record.Key != "" {
		path, err := r.Path(r.Record.Key)
		if k := try("record.key of the recipe, "+path+",", path, err); k != nil {
			return k, nil
		}
	}
	if given := os.Getenv(runlog.KeyVariable); given != "" {
		k, _, err := runlog.DefaultKey()
		if err == nil && k.Verifier() == signer {
			return k, nil
		}
		if err == nil {
			err = fmt.Errorf("%s is the key of %s", runlog.KeyVariable, k.Verifier())
		}
		tried = append(tried, err.Error())
	}
	path, err := runlog.KeyFile()
	if k := try("the user's key "+path, path, err); k != nil {
		return k, nil
	}
	path = filepath.Join(dir, keyName)
	if k := try(path, path, nil); k != nil {
		return k, nil
	}
	return nil, fmt.Errorf("run: %s is signed by %s, and only that key can continue it: give it in %s, or put its file back; %s",
		filepath.Join(dir, RecordName), signer, runlog.KeyVariable, strings.Join(tried, "; "))
}
