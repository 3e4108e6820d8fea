package safetensors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Shards splits the specs, in order, into files of at most maxBytes of data; a
// tensor that is larger gets a file of its own.
func Shards(specs []Spec, maxBytes int64) [][]Spec {
	var shards [][]Spec
	var size int64
	start := 0
	for i := range specs {
		n := specs[i].Size()
		if i > start && size+n > maxBytes {
			shards = append(shards, specs[start:i])
			start, size = i, 0
		}
		size += n
	}
	return append(shards, specs[start:])
}

// ShardName returns the name of file i (from 0) of n.
func ShardName(i, n int) string {
	if n == 1 {
		return SingleName
	}
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n)
}

// Index returns the content of the index file for the shards.
func Index(shards [][]Spec) []byte {
	var total int64
	files := make(map[string]string)
	names := []string{}
	for i, shard := range shards {
		for j := range shard {
			total += shard[j].Size()
			files[shard[j].Name] = ShardName(i, len(shards))
			names = append(names, shard[j].Name)
		}
	}
	slices.Sort(names)
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"metadata\": {\n    \"total_size\": %d\n  },\n  \"weight_map\": {", total)
	for i, name := range names {
		sep := ","
		if i == 0 {
			sep = ""
		}
		file, _ := json.Marshal(files[name])
		fmt.Fprintf(&b, "%s\n    %s: %s", sep, quote(name), file)
	}
	b.WriteString("\n  }\n}\n")
	return b.Bytes()
}
