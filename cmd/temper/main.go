// Command temper trains DeepSeek-style Mixture-of-Experts models in full and
// leaves a record that anyone can check.
package main

func main() {}
