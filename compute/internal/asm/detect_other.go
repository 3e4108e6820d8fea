//go:build !amd64 || noasm

package asm

// detect returns Go: this build has no assembly.
func detect() Level { return Go }
