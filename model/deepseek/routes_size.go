package deepseek

import "github.com/temper-ml/temper/model/arch"

// RoutesBytes returns what routes of a sequence of that many tokens take in memory, with
// picks or without, and the most that their compact form takes.
func RoutesBytes(cfg *arch.Config, tokens int, picks bool) (memory, coded int64) {
	n := int64(tokens)
	width := int64(newSubsets(cfg.Experts, cfg.TopK).width)
	entries, bits := int64(0), int64(0) // of a block that picks
	for t := range tokens {
		k, visible := picksOf(cfg, t), (t+1)/routesRatio
		if k == 0 || !picks {
			continue
		}
		few := min(k, visible-k)
		low := riceParameter(few, visible)
		entries += int64(k)
		bits += 1 + int64(few)*int64(1+low) + int64((visible-few)>>low)
	}
	coded = 1
	for l := range cfg.NumLayers {
		block := int64(0)
		if cfg.IsMoE(l) {
			memory += 4 * n * int64(cfg.TopK)
			block += n * width
		}
		if picks && cfg.Ratio(l) == routesRatio {
			memory += 4 * (entries + n + 1)
			block += bits
		}
		coded += (block + 7) / 8
	}
	return memory, coded
}
