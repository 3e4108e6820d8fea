// Package rollout says how long it takes to generate text with a model: the
// part of reinforcement learning and of on-policy distillation that is not
// training.
//
// A replica is a group of devices that holds one copy of the weights. One decode
// step adds a token to each of its running sequences, and takes as long as the
// slower of two things, plus what nothing hides:
//
//	memory   weights that some token of the batch needs, read once, and the
//	         cache of every sequence, as much of it as attention looks at
//	compute  2 operations per active parameter and token, and attention
//	exchange two messages per layer between the devices of the replica
//	launch   the gaps between kernels of a captured graph
//	overhead what serving engines do not reach of all that
//
// A mixture of experts reads few experts for few tokens and nearly all of them
// for many: E (1 - (1 - k/E)^b) of E for b tokens. V4 caches one vector per 4 or
// 128 tokens and a short window, and reads only what its indexer picks.
//
// The lengths of responses are lognormal, cut at a maximum. A replica runs as
// many sequences as its memory holds and takes the next when one ends
// (continuous batching); at the end few long ones remain and the devices idle:
// that tail, which grows with the spread of lengths, is part of the answer.
package rollout
