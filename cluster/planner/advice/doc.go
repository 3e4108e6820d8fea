// Package advice asks the planner the questions around the best layout: the
// fewest devices that fit ([FindSmallest]), what to leave idle when a number of
// devices does not divide ([SearchWithin]), what would make a step faster or fit
// at all ([WhatWouldHelp]), and how another cluster does ([CompareWith]).
//
// Each answer is a search of its own, under a changed request; nothing is
// extrapolated. The results are parts of a planner.Answer.
package advice
