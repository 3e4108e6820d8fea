package hugepages

import (
	"syscall"
	"unsafe"
)

// size is that of the large pages of x86-64 and of arm64 with pages of 4 KiB.
// Where they are larger, advice about parts of one does no harm.
const size = 2 << 20

// Advise asks for large pages for x, as far as whole ones lie in it. It works
// best before x is first written. Advice stays with the addresses, so it is for
// slabs that live as long as the program's work does.
func Advise[T float32 | int32](x []T) {
	if 4*len(x) < size {
		return
	}
	start := uintptr(unsafe.Pointer(&x[0]))
	from := (start + size - 1) &^ (size - 1)
	to := (start + 4*uintptr(len(x))) &^ (size - 1)
	if from >= to {
		return
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
	_ = syscall.Madvise(b[from-start:to-start], syscall.MADV_HUGEPAGE)
}
