package attest

import (
	"encoding/hex"

	"github.com/temper-ml/temper/report/record"
)

// Format names what documents say and how: of one record, one format has one
// text of each.
const Format = "temper-attestations/1"

// recordPredicate is the type of the statement of a record.
const recordPredicate = page + "#record-v1"

// recordClaim is the predicate of record.json.
type recordClaim struct {
	Format   string `json:"format"`
	Run      string `json:"run"`
	Signer   string `json:"signer"`
	Started  string `json:"startedOn"`
	Finished string `json:"finishedOn"`
	Head     head   `json:"head"`
	Counts   counts `json:"counts"`
	// First and Last are the steps that stand.
	First   *stepClaim    `json:"first,omitempty"`
	Last    *stepClaim    `json:"last,omitempty"`
	Weights record.Digest `json:"weights,omitempty"`
	// Documents are the other files of the directory.
	Documents []descriptor `json:"documents"`
}

// head is the last head of the record's tree.
type head struct {
	Leaves int64  `json:"leaves"`
	SHA256 string `json:"sha256"`
}

// counts are those of the record's end, and of what happened on the way.
type counts struct {
	Stages     int64 `json:"stages"`
	Steps      int64 `json:"steps"`
	Examples   int64 `json:"examples"`
	Tokens     int64 `json:"tokens"`
	Supervised int64 `json:"supervised"`
	Faults     int64 `json:"faults"`
	Recoveries int64 `json:"recoveries"`
	Resumes    int64 `json:"resumes"`
}

// stepClaim is a step and its digests.
type stepClaim struct {
	Index      int64         `json:"index"`
	Stage      int           `json:"stage"`
	Step       int64         `json:"step"`
	Batch      record.Digest `json:"batch,omitempty"`
	Parameters record.Digest `json:"parameters,omitempty"`
	Optimizer  record.Digest `json:"optimizer,omitempty"`
}

func newStepClaim(e *record.Entry) *stepClaim {
	if e == nil {
		return nil
	}
	s := e.Body.(*record.Step)
	return &stepClaim{e.Index, s.Stage, s.Step, s.Batch, s.Parameters, s.Optimizer}
}

// recordStatement is what record.json signs: the record as it ended, and the
// documents that were made of it.
func recordStatement(f *facts, documents []descriptor) ([]byte, error) {
	end := f.end
	s := statement{
		Subject: f.recordFiles(), PredicateType: recordPredicate,
		Predicate: recordClaim{
			Format: Format, Run: f.manifest.Run, Signer: f.manifest.Signer,
			Started: rfc3339(f.started()), Finished: rfc3339(f.finished),
			Head: head{f.leaves, f.root},
			Counts: counts{
				int64(len(f.stages)), end.Steps, end.Examples, end.Tokens, end.Supervised,
				f.faults, f.recoveries, f.resumes,
			},
			First: newStepClaim(f.first), Last: newStepClaim(f.last),
			Weights: end.Weights, Documents: documents,
		},
	}
	return s.payload()
}

// rootBytes is the hash of the last tree head.
func (f *facts) rootBytes() []byte {
	b, _ := hex.DecodeString(f.root) // made by EncodeToString
	return b
}
