// Package runlog keeps the record of a run on the disk so that it cannot be
// changed afterwards without being noticed: a log of entries in a Merkle tree,
// whose heads are signed as the run goes.
//
// # Files
//
// A log is a directory of three files. All text is UTF-8; a newline is the byte
// 0x0A; canonical bytes are those of package record.
//
//	manifest.json   canonical bytes of a record.Manifest, newline
//	log             for each record.Entry: its canonical bytes, newline
//	heads           for each head: its note (below)
//	LOCK            of the writer; no part of the log
//
// Leaf 0 of the tree is the canonical bytes of the manifest, leaf i those of
// entry i, without newline. The tree is that of RFC 6962: the hash of a leaf is
// SHA-256(0x00, leaf), that of a node SHA-256(0x01, left, right), and the left
// subtree of n leaves holds the largest power of two below n.
//
// # Heads
//
// A head says that a log begins with these leaves. It is a signed note
// (golang.org/x/mod/sumdb/note; C2SP signed-note and tlog-checkpoint), that is,
//
//	temper-record/1                    the format
//	3                                  leaves, decimal
//	base64                             hash of the tree, 32 bytes, standard base64 with padding
//	1                                  leaves of the head before, 0 for the first head
//	                                   an empty line
//	— name base64                      U+2014, space, key name, space, then 4 bytes of
//	                                   key hash and 64 of Ed25519 signature of the
//	                                   first four lines with their newlines
//
// each line ended by a newline. More signature lines, up to 16, are those of
// witnesses. Sizes of successive heads grow, and each names the size of the one
// before, so that none can be left out. The first head is of the manifest
// alone and appears together with it.
//
// The verifier key in Manifest.Signer is name+hash+base64: hash is the first 4
// bytes of SHA-256(name, newline, key) in hexadecimal, and key is the byte 0x01
// and the Ed25519 public key; base64 encodes key. Whoever knows it from
// elsewhere can tell who signed; with nothing but the manifest one can tell that
// all was signed by one key.
//
// # Worked example
//
// The test TestWorkedExample computes this with the signing key whose seed is 32
// bytes of zero:
//
//	manifest.json ends in ,"signer":"temper+a646fda1+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop","started":0}
//	log            {"body":{"text":"a"},"index":1,"kind":"note","time":1000}
//	               {"body":{"text":"b"},"index":2,"kind":"note","time":1001}
//	leaf 1         SHA-256(0x00, {"body":{"text":"a"},"index":1,"kind":"note","time":1000})
//	head of 3      SHA-256(0x01, SHA-256(0x01, leaf 0, leaf 1), leaf 2)
//
// # What survives what
//
// An entry is written by one call when it happens, so that it survives the death
// of the process. Before a head is signed, the log is flushed to the disk, so
// that entries under a head survive the death of the machine. What a crash or a
// full disk left of an entry after the last complete one has no newline (or
// begins with a zero byte, which a disk may show for what it did not write); a
// [Reader] counts it and a [Writer] cuts it off. A log that has fewer entries
// than a head was signed of is refused by both.
//
// A run that goes on after a crash appends to the same tree: steps that are
// taken again do not replace the entries that stand there, they follow a
// recovery entry that says from where.
package runlog
