// Package attest makes of the record of a finished run the documents that others
// read: a signature of the model that public tools check, provenance, a bill of
// materials, a model card. Everything in them is derived from the record; there
// is no field that a person fills in.
//
// # Documents
//
// [Write] makes a directory of them, [Check] compares one with the record:
//
//	model.json       in-toto statement of every file of the exported model, in the
//	                 layout of OpenSSF Model Signing, in a DSSE envelope signed by
//	                 the key of the record
//	model.sig        the same statement as a Sigstore bundle signed by an ECDSA
//	                 P-256 key, as the public tool model_signing reads it
//	model.pub        that key
//	provenance.json  SLSA provenance of the model, in an envelope as model.json
//	bom.json         CycloneDX bill of materials with a model card
//	README.md        model card as Hugging Face reads it
//	record.json      in-toto statement of the record's last tree head, and of the
//	                 digests of all the others, in an envelope as model.json
//
// record.json binds the others: who trusts the key of the record needs to check
// this one signature.
//
// # One text
//
// A document is a function of the record (and of the P-256 key), to the last
// byte: statements are canonical bytes of package record, times are those of the
// record, serial numbers come from the tree head, signatures are deterministic.
// So [Check] does not interpret what it is given: it derives the documents again
// and compares bytes; of a difference it says where it is. What a statement says
// is fixed by [Format]; another version of it is refused as such.
//
// # Refusals
//
// A run that did not complete has no result to attest ([ErrNoResult]). A model
// directory that is not, file by file, what the record's end names is not signed.
// Envelopes are at most [MaxSize] bytes, canonical (so no key stands twice), of
// one payload type, with one signature of the expected key.
package attest
