// Package linkbench measures the links that ranks on one machine have: memory
// handed over within a process, and TCP over the loopback interface. Both are
// measured as messages that one side sends and the other copies out and
// answers, of sizes from a byte up, so that a latency and a bandwidth can be
// told apart.
package linkbench
