package attest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// approaches are the kinds of learning by method.
var approaches = map[string]cdx.MLModelParametersApproachType{
	"cpt":     cdx.MLModelParametersApproachTypeSelfSupervised,
	"sft":     cdx.MLModelParametersApproachTypeSupervised,
	"dpo":     cdx.MLModelParametersApproachTypeSupervised,
	"opd":     cdx.MLModelParametersApproachTypeSupervised,
	"distill": cdx.MLModelParametersApproachTypeSupervised,
	"grpo":    cdx.MLModelParametersApproachTypeReinforcementLearning,
}

// cycloneCard is the model card within the bill of materials.
func cycloneCard(f *facts) *cdx.MLModelCard {
	family, architecture := f.architecture()
	var datasets []cdx.MLDatasetChoice
	for i := range f.manifest.Data {
		datasets = append(datasets, cdx.MLDatasetChoice{Ref: "data/" + strconv.Itoa(i)})
	}
	p := &cdx.MLModelParameters{
		Task: "text-generation", ArchitectureFamily: family, ModelArchitecture: architecture,
		Datasets: &datasets,
		Inputs:   &[]cdx.MLInputOutputParameters{{Format: "text"}}, Outputs: &[]cdx.MLInputOutputParameters{{Format: "text"}},
	}
	if a, ok := approaches[f.stages[len(f.stages)-1].Method]; ok {
		p.Approach = &cdx.MLModelParametersApproach{Type: a}
	}
	limits := f.limits()
	energy := []cdx.Property{property("energy-joules", f.energyText())}
	return &cdx.MLModelCard{
		BOMRef: "model-card", ModelParameters: p, QuantitativeAnalysis: analysis(f),
		Considerations: &cdx.MLModelCardConsiderations{
			TechnicalLimitations:        &limits,
			EnvironmentalConsiderations: &cdx.MLModelCardEnvironmentalConsiderations{Properties: &energy},
		},
	}
}

// energyText is the energy of all steps in joules, "unknown" if not all tell.
func (f *facts) energyText() string {
	if f.noEnergy || f.steps == 0 {
		return "unknown"
	}
	return number(f.energy)
}

// analysis are the evaluations.
func analysis(f *facts) *cdx.MLQuantitativeAnalysis {
	var metrics []cdx.MLPerformanceMetric
	for _, m := range f.measures() {
		for _, v := range []struct {
			value *float64
			step  int64
		}{{m.before, m.beforeStep}, {m.after, m.afterStep}} {
			if v.value != nil {
				metrics = append(metrics, cdx.MLPerformanceMetric{
					Type: m.kind, Value: number(*v.value), Slice: fmt.Sprintf("%s; after %d steps of stage %s", m.of, v.step, m.stage),
				})
			}
		}
	}
	if len(metrics) == 0 {
		return nil
	}
	return &cdx.MLQuantitativeAnalysis{PerformanceMetrics: &metrics}
}

// modelProperties are how the model was trained.
func modelProperties(f *facts) *[]cdx.Property {
	m, end := &f.manifest, f.end
	ps := []cdx.Property{
		property("parameters", f.begin.Total), property("parameters-active", f.begin.Active),
		property("seed", m.Seed), property("ranks", m.Ranks),
		property("steps", end.Steps), property("examples", end.Examples),
		property("tokens", end.Tokens), property("tokens-supervised", end.Supervised),
		property("weights", end.Weights), property("record:leaves", f.leaves), property("record:root", f.root), property("record:signer", m.Signer),
		property("started", rfc3339(f.started())), property("finished", rfc3339(f.finished)),
	}
	for i := range f.stages {
		s := &f.stages[i]
		at := "stage:" + strconv.Itoa(i) + ":"
		ps = append(
			ps, property(at+"name", s.Name), property(at+"method", s.Method), property(at+"steps", s.Steps),
			property(at+"rows-per-step", s.Batch), property(at+"sequence", s.Sequence), property(at+"optimizer", s.Optimizer),
			property(at+"lr", scheduleText(s)), property(at+"rows", s.Rows), property(at+"data", s.Data), property(at+"order", s.Order),
		)
		for _, name := range slices.Sorted(maps.Keys(s.Teachers)) {
			ps = append(ps, property(at+"teacher:"+name, s.Teachers[name]))
		}
	}
	return new(slices.DeleteFunc(ps, func(p cdx.Property) bool { return p.Value == "" }))
}
