package durable

import (
	"fmt"

	"github.com/temper-ml/temper/internal/unit"
)

// Reserve reports an error if the disk under path has less room than the bytes
// that are about to be written. It sets nothing aside: the disk may still fill up.
func Reserve(path string, bytes int64) error {
	free, err := Free(path)
	if err != nil {
		return err
	}
	if free < bytes {
		return fmt.Errorf("durable: %s needs %v, and its disk has %v free: free some space or choose another directory", path, unit.Bytes(bytes), unit.Bytes(free))
	}
	return nil
}
