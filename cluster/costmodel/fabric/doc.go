// Package fabric says how long one message of a group of ranks takes on a
// cluster's links.
//
// A cluster is a nest of domains: dies on a card, devices on a node, nodes of a
// supernode, and the scale-out network that spans all. A group {First, Stride,
// Size} has a known number of members in each domain, so a collective splits
// into one exchange per level, each between the sub-groups of the level below;
// the levels work at the same time on different pieces, so the slowest one
// decides, and their latencies add. On every level
//
//	time = steps*latency + (bytes + half) / bandwidth
//
// where half is the size at which a link reaches half its rate. All groups of an
// axis run together, so a device has only its own share of shared network cards.
//
// An all-to-all that carries tokens to experts sends a token once to each node
// that it has experts on, however many they are, and the node spreads it.
package fabric
