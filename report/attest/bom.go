package attest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"github.com/temper-ml/temper/report/record"
)

// bomDocument is the bill of materials: the model with its card, the data, the
// base model and the modules of the program.
func bomDocument(f *facts) ([]byte, error) {
	model, err := modelComponent(f)
	if err != nil {
		return nil, err
	}
	data, tokenizer := dataComponents(&f.manifest)
	program, modules := programComponents(&f.manifest.Program)
	bom := cdx.NewBOM()
	bom.SpecVersion, bom.JSONSchema = cdx.SpecVersion1_6, "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bom.SerialNumber = serialNumber(f.rootBytes())
	bom.Metadata = &cdx.Metadata{
		Timestamp: rfc3339(f.finished), Component: model,
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: program.Type, Name: program.Name, Version: program.Version}}},
	}
	components := slices.Concat(data, tokenizer, []cdx.Component{program}, modules)
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{
		{Ref: model.BOMRef, Dependencies: refs(slices.Concat(data, tokenizer, []cdx.Component{program}))},
		{Ref: program.BOMRef, Dependencies: refs(modules)},
	}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return nil, fmt.Errorf("%s: %w", bomName, err)
	}
	return b.Bytes(), nil
}

// serialNumber is a UUID of version 8 made of a tree head.
func serialNumber(root []byte) string {
	u := slices.Clone(root[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

func refs(components []cdx.Component) *[]string {
	list := []string{}
	for i := range components {
		list = append(list, components[i].BOMRef)
	}
	return &list
}

// modelComponent is the exported model, its files within.
func modelComponent(f *facts) (*cdx.Component, error) {
	files, root, err := f.model()
	if err != nil {
		return nil, err
	}
	var within []cdx.Component
	for _, x := range files {
		within = append(within, cdx.Component{
			Type: cdx.ComponentTypeFile, BOMRef: "model/" + x.name, Name: x.name, Hashes: hashes(record.Digest("sha256:" + x.digest)),
		})
	}
	return &cdx.Component{
		Type: cdx.ComponentTypeMachineLearningModel, BOMRef: "model", Name: f.name(), Version: root[:16],
		Description: "SHA-256 of the digests of all files, in order: " + root,
		Components:  &within, ModelCard: cycloneCard(f), Properties: modelProperties(f), Pedigree: pedigree(&f.manifest),
	}, nil
}

// pedigree names the base model by the digest of its tensors' digests.
func pedigree(m *record.Manifest) *cdx.Pedigree {
	if len(m.Model) == 0 {
		return nil
	}
	return &cdx.Pedigree{
		Ancestors: &[]cdx.Component{{
			Type: cdx.ComponentTypeMachineLearningModel, BOMRef: "base-model", Name: "base model",
			Properties: &[]cdx.Property{property("tensors", int64(len(m.Model))), property("tensor-digests", string(baseDigest(m)))},
		}},
		Notes: "The digest of each of its tensors is in the record and in the provenance.",
	}
}

// baseDigest is the SHA-256 of the canonical bytes of the digests of the base
// model's tensors, as they stand in the manifest.
func baseDigest(m *record.Manifest) record.Digest {
	b, err := record.MarshalLimit(m.Model, MaxSize)
	if err != nil {
		return ""
	}
	return record.SHA256(b)
}

// dataComponents are the files that were read.
func dataComponents(m *record.Manifest) (data, tokenizer []cdx.Component) {
	for i, d := range m.Data {
		data = append(data, cdx.Component{
			Type: cdx.ComponentTypeData, BOMRef: "data/" + strconv.Itoa(i), Name: d.Path, Hashes: hashes(d.Digest),
			Properties: digestProperties(d.Digest, property("bytes", d.Bytes), property("rows", d.Rows)),
			Data:       &[]cdx.ComponentData{{Type: cdx.ComponentDataTypeDataset, Name: d.Path}},
		})
	}
	if m.Tokenizer != "" {
		tokenizer = append(tokenizer, cdx.Component{
			Type: cdx.ComponentTypeFile, BOMRef: "tokenizer", Name: "tokenizer.json",
			Hashes: hashes(m.Tokenizer), Properties: digestProperties(m.Tokenizer),
		})
	}
	return data, tokenizer
}

// programComponents are temper and its modules.
func programComponents(p *record.Program) (program cdx.Component, modules []cdx.Component) {
	program = cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: "temper", Name: "temper", Version: p.Version,
		Properties: &[]cdx.Property{property("go", p.Go), property("revision", p.Revision)},
	}
	for _, at := range slices.Sorted(maps.Keys(p.Modules)) {
		name, version, _ := strings.Cut(at, "@")
		c := cdx.Component{Type: cdx.ComponentTypeLibrary, BOMRef: "module/" + at, Name: name, Version: version, PackageURL: purl(at)}
		if sum, ok := dirHash(p.Modules[at]); ok {
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
		}
		modules = append(modules, c)
	}
	return program, modules
}

// hashes are a digest as CycloneDX has it, nil if it has no such algorithm.
func hashes(d record.Digest) *[]cdx.Hash {
	sum, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok {
		return nil
	}
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: sum}}
}

// digestProperties adds a digest to properties if hashes could not say it.
func digestProperties(d record.Digest, ps ...cdx.Property) *[]cdx.Property {
	if hashes(d) == nil && d != "" {
		ps = append(ps, property("digest", string(d)))
	}
	if len(ps) == 0 {
		return nil
	}
	return &ps
}

// property is a property of temper's.
func property(name string, value any) cdx.Property {
	return cdx.Property{Name: "temper:" + name, Value: fmt.Sprint(value)}
}
