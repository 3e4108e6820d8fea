// Package reward judges what a model wrote, by rules: no other model takes part.
//
//	j, err := reward.New(specs)              // the "rewards" of a recipe's stage
//	v := j.Judge(ctx, samples)               // one Verdict per sample, in order
//
// A [Spec] is one rule with a weight. The rules:
//
//	exact         the final answer is the row's, letter by letter
//	numeric       the final answer is the row's number (GSM8K: after ####)
//	format        the text has a form, given as a regular expression
//	length        nothing for short answers, a growing penalty for long ones
//	command       a program of the user's decides, within limits of time and memory
//	optimisation  the linear program in the answer has the right optimum
//	safety        harmful requests are refused, harmless ones are not
//
// A verdict is a function of the sample and the rules, with nothing random in
// it, except what a command does. Each part is kept with its reason, so that a
// log can say why a sample got what it got. A rule that cannot judge (a command
// that hangs, crashes or prints no number, a row without the field) fails that
// sample alone: its verdict says so and must take part in no update.
package reward
