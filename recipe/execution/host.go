package execution

import (
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/temper-ml/temper/report/record"
)

// Program describes this binary.
func Program() record.Program {
	p := record.Program{Version: "(devel)", Go: runtime.Version(), Modules: map[string]string{}, Build: map[string]string{}}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return p
	}
	if info.Main.Version != "" {
		p.Version = info.Main.Version
	}
	dirty := false
	for _, s := range info.Settings {
		p.Build[s.Key] = s.Value
		switch s.Key {
		case "vcs.revision":
			p.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if p.Revision != "" && dirty {
		p.Revision += "+dirty"
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		p.Modules[m.Path+"@"+m.Version] = m.Sum
	}
	return p
}

// features are those flags of a processor that numbers or digests are computed
// with.
var features = []string{"aes", "avx", "bmi", "f16c", "fma", "popcnt", "sha", "sse", "ssse", "vaes", "vpclmulqdq", "pclmulqdq", "asimd", "sve", "fphp", "bf16", "i8mm"}

// host describes this machine as far as the system tells.
func host() record.Host {
	h := record.Host{CPU: runtime.GOARCH, Features: []string{}, Cores: runtime.NumCPU(), Kernel: runtime.GOOS}
	h.Name, _ = os.Hostname()
	text, _ := os.ReadFile("/proc/cpuinfo")
	cpu := fieldsOf(string(text), ":")
	if name := cpu["model name"]; name != "" {
		h.CPU = name + " (family " + cpu["cpu family"] + " model " + cpu["model"] + ")"
	}
	for _, flag := range strings.Fields(cpu["flags"] + cpu["Features"]) {
		if slices.ContainsFunc(features, func(f string) bool { return strings.HasPrefix(flag, f) }) {
			h.Features = append(h.Features, flag)
		}
	}
	slices.Sort(h.Features)
	text, _ = os.ReadFile("/proc/meminfo")
	h.Memory = kibibytes(fieldsOf(string(text), ":")["MemTotal"])
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		h.Kernel += " " + strings.TrimSpace(string(text))
	}
	return h
}

// fieldsOf reads lines of "name: value"; the first of a name counts.
func fieldsOf(text, separator string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, separator)
		if name = strings.TrimSpace(name); ok && m[name] == "" {
			m[name] = strings.TrimSpace(value)
		}
	}
	return m
}

// kibibytes reads "123 kB" and returns bytes, 0 for anything else.
func kibibytes(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, " kB"), 10, 64)
	if err != nil || n < 0 || n > 1<<52 {
		return 0
	}
	return n << 10
}

// peakMemory is the most memory that this process has had, 0 if unknown.
func peakMemory() int64 {
	text, _ := os.ReadFile("/proc/self/status")
	_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	return kibibytes(strings.TrimSpace(line))
}
