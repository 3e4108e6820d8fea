//go:build !linux

package hugepages

// Advise does nothing: the system is not asked.
func Advise[T float32 | int32]([]T) {}
