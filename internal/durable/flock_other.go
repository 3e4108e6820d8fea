//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package durable

import "os"

// flock does nothing where the system has no advisory locks of this kind: two
// processes are then not kept apart.
func flock(*os.File) error { return nil }
