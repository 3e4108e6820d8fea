// Package mesh maps ranks to coordinates: pure integers, no network.
//
// A run on W devices gives each rank (0..W-1) one place on every parallel axis:
//
//	tp  tensor parallel: the ranks that share one matrix product
//	cp  context parallel: the ranks that share one sequence
//	dp  data parallel: the ranks that see different sequences
//	pp  pipeline parallel: the ranks that hold different layers (stages)
//
// and W = TP*CP*DP*PP. Ranks are numbered with tp fastest, then cp, dp and pp:
//
//	rank = tp + TP*(cp + CP*(dp + DP*pp))
//
// Experts fold over the same ranks. Within one pipeline stage, the TP*CP*DP
// ranks of the dense layers are counted again as ETP*EP*EDP ranks of the expert
// layers, etp fastest:
//
//	rank mod (TP*CP*DP) = etp + ETP*(ep + EP*edp)
//
// so expert parallelism needs no further devices and may exceed dp. The
// gradient of a dense parameter is reduced over DPCP (all ranks of a stage with
// the same tp), that of an expert parameter over EDP.
//
// Every group is regular: First, First+Stride, ... . A group is therefore three
// integers, whatever the size of the run:
//
//	m := mesh.Mesh{TP: 2, CP: 1, DP: 4, PP: 2, EP: 4, ETP: 1}
//	m.Group(mesh.EP, 5)  // {First: 4, Stride: 1, Size: 4}: ranks 4 5 6 7
//	m.Group(mesh.DP, 5)  // {First: 1, Stride: 2, Size: 4}: ranks 1 3 5 7
package mesh
