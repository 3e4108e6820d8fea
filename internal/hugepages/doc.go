// Package hugepages asks the operating system to back long-lived slabs of
// numbers by large pages. A model is read from end to end again and again, for
// each token that it generates: with pages of 4 KiB much of that time goes to
// looking up addresses, in virtual machines twice over.
//
// It is advice: where a system knows no such pages, or has none left, nothing
// happens, and no number depends on it.
package hugepages
