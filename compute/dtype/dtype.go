package dtype

import "fmt"

// DType is the format of one stored element. The zero value is not a format.
type DType uint8

// The formats, named as in safetensors without the underscores.
const (
	Invalid DType = iota
	F64
	F32
	F16
	BF16
	F8E4M3 // sign, 4 exponent bits, 3 fraction bits; no infinities
	F8E5M2
	F8E8M0 // power of two: byte e is 2^(e-127)
	I64
	I32
	I16
	I8 // also two packed FP4 values
	U64
	U32
	U16
	U8
	Bool
)

// formats holds the safetensors name and the size in bytes of each DType.
var formats = [...]struct {
	name string
	size int
}{
	Invalid: {"INVALID", 0},
	F64:     {"F64", 8}, F32: {"F32", 4}, F16: {"F16", 2}, BF16: {"BF16", 2},
	F8E4M3: {"F8_E4M3", 1}, F8E5M2: {"F8_E5M2", 1}, F8E8M0: {"F8_E8M0", 1},
	I64: {"I64", 8}, I32: {"I32", 4}, I16: {"I16", 2}, I8: {"I8", 1},
	U64: {"U64", 8}, U32: {"U32", 4}, U16: {"U16", 2}, U8: {"U8", 1},
	Bool: {"BOOL", 1},
}

// String returns the name used in safetensors headers.
func (d DType) String() string {
	if int(d) >= len(formats) {
		return fmt.Sprintf("DType(%d)", uint8(d))
	}
	return formats[d].name
}

// Size returns the bytes of one element, 0 for a value that is not a format.
func (d DType) Size() int {
	if int(d) >= len(formats) {
		return 0
	}
	return formats[d].size
}

// Parse returns the format with the given safetensors name.
func Parse(name string) (DType, error) {
	for d := F64; int(d) < len(formats); d++ {
		if formats[d].name == name {
			return d, nil
		}
	}
	return Invalid, fmt.Errorf("dtype: %q is not a format that temper reads, want F64, F32, F16, BF16, F8_E4M3, F8_E5M2, F8_E8M0, a signed or unsigned integer such as I64 or U8, or BOOL", name)
}
