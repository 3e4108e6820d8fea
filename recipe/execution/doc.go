// Package execution carries out a recipe in a run directory:
//
//	recipe.yaml            the complete recipe, defaults included
//	tokenizer.json         the vocabulary
//	cache/                 tokenised data, keyed by content
//	log.jsonl              one line per step and event, in order
//	checkpoints/00-NAME/   training state of a stage (train/checkpoint)
//	model/                 the final weights, a Hugging Face directory
//	LOCK                   held while a process works on the run
//
// A run that was killed at any moment goes on from its last checkpoint and
// ends with the same bits as one that was not: data, parameters, optimizer and
// step counters all follow from the checkpoint and the recipe. Log lines after
// the checkpoint are dropped and written again.
//
// What a person sees is built from Events, handed to an Observer as they happen.
package execution
