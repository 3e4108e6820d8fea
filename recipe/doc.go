// Package recipe describes a run as one complete value: the model, the
// tokenizer, the stages and everything that decides their results.
//
// A recipe is a YAML file, decoded strictly: an unknown key, a wrong type or a
// second document is an error with its line and column. What the file leaves
// out is filled with the defaults of the stage's method, so a decoded Recipe is
// complete and can be printed, compared and kept. Paths are relative to the
// recipe's own folder; ${NAME} in a path is an environment variable, which must
// be set.
//
// recipe/execution carries a recipe out.
package recipe
