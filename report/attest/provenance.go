package attest

import (
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/temper-ml/temper/report/record"
)

// Names of what temper defines; the page says what they mean.
const (
	page          = "https://github.com/temper-ml/temper/blob/main/docs/attestations.md"
	buildType     = page + "#run-v1"
	builderID     = page + "#builder-v1"
	slsaPredicate = "https://slsa.dev/provenance/v1"
	sourceURI     = "git+https://github.com/temper-ml/temper"
)

// provenance is the predicate of SLSA provenance, version 1.
type provenance struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   externalParameters `json:"externalParameters"`
	InternalParameters   internalParameters `json:"internalParameters"`
	ResolvedDependencies []descriptor       `json:"resolvedDependencies"`
}

// externalParameters are what a user decides: the complete recipe, as YAML.
type externalParameters struct {
	Recipe string `json:"recipe"`
}

// internalParameters are where and how the recipe was carried out. They decide
// no result.
type internalParameters struct {
	Build     map[string]string `json:"build"`
	Go        string            `json:"go"`
	Hosts     []record.Host     `json:"hosts"`
	Mesh      record.Mesh       `json:"mesh"`
	Precision record.Precision  `json:"precision"`
	Ranks     int               `json:"ranks"`
}

type runDetails struct {
	Builder    builder      `json:"builder"`
	Metadata   runMetadata  `json:"metadata"`
	Byproducts []descriptor `json:"byproducts"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version"`
}

type runMetadata struct {
	InvocationID string `json:"invocationId"`
	StartedOn    string `json:"startedOn"`
	FinishedOn   string `json:"finishedOn"`
}

// provenanceStatement says from what the model was made, and by what.
func provenanceStatement(f *facts) ([]byte, error) {
	files, root, err := f.model()
	if err != nil {
		return nil, err
	}
	m := &f.manifest
	subject := []descriptor{{Name: f.name(), Digest: sha256Set(root)}}
	for _, x := range files {
		subject = append(subject, descriptor{Name: ModelDir + "/" + x.name, Digest: sha256Set(x.digest)})
	}
	p := provenance{
		buildDefinition{
			buildType,
			externalParameters{m.Recipe},
			internalParameters{m.Program.Build, m.Program.Go, m.Hosts, m.Mesh, m.Precision, m.Ranks},
			dependencies(f),
		},
		runDetails{
			builder{builderID, programVersion(&m.Program)},
			runMetadata{"temper-run:" + string(f.manifestFile), rfc3339(f.started()), rfc3339(f.finished)},
			f.recordFiles(),
		},
	}
	s := statement{Subject: subject, PredicateType: slsaPredicate, Predicate: p}
	return s.payload()
}

// started is when the run began.
func (f *facts) started() int64 { return f.manifest.Started }

// recordFiles describes the record: its tree, and its files as they lie.
func (f *facts) recordFiles() []descriptor {
	return []descriptor{
		{Name: RecordDir, Digest: sha256Set(f.root), Annotations: map[string]any{"leaves": f.leaves, "format": f.manifest.Format}},
		{Name: RecordDir + "/manifest.json", Digest: digestSet(f.manifestFile), MediaType: "application/json"},
		{Name: RecordDir + "/log", Digest: digestSet(f.logFile), MediaType: "application/jsonl"},
	}
}

// programVersion is what ran.
func programVersion(p *record.Program) map[string]string {
	v := map[string]string{"temper": p.Version, "go": p.Go}
	if p.Revision != "" {
		v["revision"] = p.Revision
	}
	return v
}

// dependencies are what a run was made from: the base model's tensors, teachers, the
// tokenizer, every data file, the source and every module of the program.
func dependencies(f *facts) []descriptor {
	m, ds := &f.manifest, []descriptor{}
	for _, name := range slices.Sorted(maps.Keys(m.Model)) {
		ds = append(ds, descriptor{Name: "base model/" + name, Digest: digestSet(m.Model[name])})
	}
	for i := range f.stages {
		s := &f.stages[i]
		for _, name := range slices.Sorted(maps.Keys(s.Teachers)) {
			ds = append(ds, descriptor{Name: "teacher/" + s.Name + "/" + name, Digest: digestSet(s.Teachers[name])})
		}
	}
	if m.Tokenizer != "" {
		ds = append(ds, descriptor{Name: "tokenizer.json", Digest: digestSet(m.Tokenizer), MediaType: "application/json"})
	}
	for _, d := range m.Data {
		ds = append(ds, descriptor{Name: d.Path, Digest: digestSet(d.Digest), Annotations: map[string]any{"bytes": d.Bytes, "rows": d.Rows}})
	}
	if isCommit(m.Program.Revision) {
		ds = append(ds, descriptor{Name: "temper", URI: sourceURI + "@" + m.Program.Revision, Digest: map[string]string{"gitCommit": m.Program.Revision}})
	}
	for _, at := range slices.Sorted(maps.Keys(m.Program.Modules)) {
		d := descriptor{Name: at, URI: purl(at)}
		if sum, ok := dirHash(m.Program.Modules[at]); ok {
			d.Digest = map[string]string{"dirHash1": sum}
		}
		ds = append(ds, d)
	}
	return ds
}

// digestSet is a digest of the record as in-toto writes it, nil of none.
func digestSet(d record.Digest) map[string]string {
	scheme, sum, ok := strings.Cut(string(d), ":")
	if !ok {
		return nil
	}
	return map[string]string{scheme: sum}
}

// dirHash is a hash of go.sum in hexadecimal, as digest sets have it.
func dirHash(h1 string) (string, bool) {
	text, ok := strings.CutPrefix(h1, "h1:")
	sum, err := base64.StdEncoding.DecodeString(text)
	return hex.EncodeToString(sum), ok && err == nil && len(sum) == 32
}

// purl is the package URL of a module path@version.
func purl(at string) string {
	path, version, found := strings.Cut(at, "@")
	parts := strings.Split(strings.ToLower(path), "/")
	for i := range parts {
		parts[i] = escapePURL(parts[i])
	}
	u := "pkg:golang/" + strings.Join(parts, "/")
	if found {
		u += "@" + escapePURL(version)
	}
	return u
}

// escapePURL escapes a part of a package URL: all but letters, digits and .-_~
func escapePURL(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// isCommit reports whether a revision is a commit and nothing was changed in it.
func isCommit(revision string) bool {
	b, err := hex.DecodeString(revision)
	return err == nil && (len(b) == 20 || len(b) == 32) && strings.ToLower(revision) == revision
}
