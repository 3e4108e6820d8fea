// Package record is what a run leaves behind for others to check: the types of
// its manifest and log entries, and the one way to write them as bytes.
//
// # Canonical bytes
//
// A value has exactly one text, so that digests and signatures of the text are
// digests and signatures of the value. The text is JSON in UTF-8, with
//
//   - no space between tokens;
//   - members of objects sorted by the bytes of their names, no name twice;
//     members marked omitempty left out when empty, all others present, and no
//     members that the type does not have;
//   - integers in decimal, a minus sign only before a number that is not 0, no
//     leading zeros, no fraction, no exponent;
//   - floats as the shortest digits that read back as the same float64, the
//     first digit not 0: written with an exponent when the decimal exponent is
//     below -4 or above 5 ("1e-05", "2.5e+11", "1e+06"), sign and at least two
//     digits, and without one otherwise ("0.0001", "250000", "1"); minus zero is
//     "-0"; what JSON cannot write is the string "NaN", "+Inf" or "-Inf". This
//     is strconv.FormatFloat(f, 'g', -1, 64);
//   - strings with \" \\ \b \f \n \r \t, other control characters as \u00xx in
//     lower case, and every other character as itself.
//
// Nesting is at most [MaxDepth] deep and a value at most [MaxSize] bytes long, a
// manifest [MaxManifest]. [Unmarshal] accepts these bytes and no others.
//
// # Entries
//
// A log is one manifest ([Manifest], number 0) and entries ([Entry], numbers 1,
// 2, ...), each an object with the members body, index, kind and time. Example:
//
//	{"body":{"text":"warm"},"index":7,"kind":"note","time":1784868623648}
//
// Nothing here assumes one rank, one process, or one machine.
package record
