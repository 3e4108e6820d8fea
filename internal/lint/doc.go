// Package lint holds the house rules as tests. Each failure says what to do.
//
// The rules: imports go one way (levels.go has the table), every package and
// every exported name is documented, files and functions stay small, floating-
// point products are never fused by accident, random numbers come from
// internal/detrand alone, and the product's go.mod stays installable.
package lint
