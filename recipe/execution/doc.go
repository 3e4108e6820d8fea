// Package execution carries out a recipe in a run directory:
//
//	recipe.yaml            the complete recipe, defaults included
//	tokenizer.json         the vocabulary
//	cache/                 tokenised data, keyed by content
//	record/                the record: what was run, and each step and event (report/record)
//	record.key             the record's signing key, where the user has none
//	checkpoints/00-NAME/   training state of a stage (train/checkpoint)
//	model/                 the final weights, a Hugging Face directory
//	LOCK                   held while a process works on the run
//
// A run that was killed at any moment goes on from its last checkpoint and
// ends with the same bits as one that was not: data, parameters, optimizer and
// step counters all follow from the checkpoint and the recipe. Steps that are
// taken again stand in the record twice: nothing is taken back, a recovery entry
// says from where they count anew.
//
// The record is the only log: summaries and curves are read from it. What a
// person sees meanwhile is built from Events, handed to an Observer as they happen.
package execution
