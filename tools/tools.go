//go:build tools

// Package tools pins the development tools: the assembly generator and the
// linters. They live in a module of their own so that the product's go.mod
// holds only what the product runs on.
package tools

import (
	_ "github.com/mmcloughlin/avo/build"
	_ "honnef.co/go/tools/cmd/staticcheck"
	_ "mvdan.cc/gofumpt"
)
