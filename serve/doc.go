// Package serve answers over HTTP as OpenAI's API does: chat completions,
// completions and models, streamed or whole, over an engine of package generate.
//
// An answer is a function of the model, the request and its seed; a seed that was
// not given is drawn and told. What others ask at the time changes nothing but how
// long it takes.
//
// Whatever clients do, the engine goes on: answers wait in the memory of their
// requests, bounded by the tokens asked for; who reads too slowly, or goes away,
// loses the answer, and what it held is free at the next pass. Requests that
// cannot be taken are refused as early as possible: by their head, then by their
// size, then when they are read, and never half way.
package serve
