// Command temper trains DeepSeek-style Mixture-of-Experts models in full and
// leaves a record that anyone can check.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
