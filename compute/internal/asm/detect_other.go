//go:build noasm || !(amd64 || arm64)

package asm

// detect returns Go: this build has no assembly.
func detect() []Level { return []Level{Go} }
