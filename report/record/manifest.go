package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Format names this version of the format; the first member that a reader checks.
const Format = "temper-record/1"

// Manifest says what a run is, before its first step.
type Manifest struct {
	// Format is [Format].
	Format string `json:"format"`
	// Run is the run's name.
	Run string `json:"run"`
	// Recipe is the complete recipe as YAML, defaults included; Seed is its.
	Recipe string `json:"recipe"`
	Seed   uint64 `json:"seed"`
	// Started is when the program began to prepare the run, as Entry.Time.
	Started int64 `json:"started"`
	// Architecture is the model's complete config.json, Precision what its
	// numbers are held and multiplied in.
	Architecture string    `json:"architecture,omitempty"`
	Precision    Precision `json:"precision"`
	// Model is the digest of each tensor that training begins with, by name;
	// empty when the recipe draws them.
	Model map[string]Digest `json:"model"`
	// Tokenizer is the digest of the tokenizer's file, Data every file read, in
	// the order of the recipe, Order the ordered list of examples.
	Tokenizer Digest   `json:"tokenizer,omitempty"`
	Data      []File   `json:"data"`
	Order     Digest   `json:"order,omitempty"`
	Program   Program  `json:"program"`
	Hosts     []Host   `json:"hosts"`
	Ranks     int      `json:"ranks"`
	Mesh      Mesh     `json:"mesh"`
	Links     []Link   `json:"links"`
	Devices   []Device `json:"devices"`
	// DigestPeriod is the period of the digests of parameters and optimizer in
	// Step entries (report/record/digest): each covers one block in so many. 0
	// says that steps have none. Those of other entries always cover all blocks.
	DigestPeriod int64 `json:"digest_period,omitempty"`
	// Clock is the source of times, such as "system".
	Clock string `json:"clock"`
	// Signer is the verifier key of the log's heads.
	Signer string `json:"signer"`
}

// Precision names number formats, such as "fp32" or "bf16"; empty where there is
// nothing of the kind.
type Precision struct {
	// Parameters is what the optimizer updates.
	Parameters string `json:"parameters,omitempty"`
	// Linear and Attention are the inputs of products, the lowest in use.
	Linear    string `json:"linear,omitempty"`
	Attention string `json:"attention,omitempty"`
	// Communication is what ranks exchange.
	Communication string `json:"communication,omitempty"`
}

// File is a file that was read.
type File struct {
	Path   string `json:"path"`
	Digest Digest `json:"digest"`
	Bytes  int64  `json:"bytes"`
	Rows   int64  `json:"rows"`
}

// Program is what runs.
type Program struct {
	Version string `json:"version"`
	// Revision is the commit, "+dirty" appended if the tree was changed.
	Revision string `json:"revision,omitempty"`
	// Modules are the go.sum hashes of all modules, by path@version.
	Modules map[string]string `json:"modules"`
	Go      string            `json:"go"`
	// Build are the build settings, by name.
	Build map[string]string `json:"build"`
}

// Host is a machine.
type Host struct {
	Name     string   `json:"name"`
	CPU      string   `json:"cpu"`
	Features []string `json:"features"`
	// Cores are those that the program may use.
	Cores int `json:"cores"`
	// Memory is bytes.
	Memory int64  `json:"memory"`
	Kernel string `json:"kernel"`
}

// Mesh is how ranks divide the work; every axis is at least 1.
type Mesh struct {
	Tensor   int `json:"tensor"`
	Pipeline int `json:"pipeline"`
	Context  int `json:"context"`
	Expert   int `json:"expert"`
	Data     int `json:"data"`
}

// Link is a measured connection between ranks.
type Link struct {
	From int `json:"from"`
	To   int `json:"to"`
	// Bandwidth is bytes per second, Latency seconds.
	Bandwidth float64 `json:"bandwidth"`
	Latency   float64 `json:"latency"`
}

// Device is the measured profile of what ranks compute on.
type Device struct {
	Name string `json:"name"`
	// Host is an index of Manifest.Hosts, Ranks the ranks on such a device.
	Host  int   `json:"host"`
	Ranks []int `json:"ranks"`
	// Path is the instruction set of the kernels, such as "avx2", Threads how
	// many a rank computes on: neither decides results.
	Path    string `json:"path,omitempty"`
	Threads int    `json:"threads,omitempty"`
	// Peak is operations per second by data type, measured.
	Peak map[string]float64 `json:"peak"`
	// Bandwidth is bytes per second to and from memory, 0 when not measured.
	Bandwidth float64 `json:"bandwidth,omitempty"`
}

// One is the mesh of one rank.
func One() Mesh { return Mesh{1, 1, 1, 1, 1} }

// Check refuses a mesh that ranks ranks cannot form. Experts are spread over
// the ranks of the other axes, so Expert is no factor of the product.
func (m *Mesh) Check(ranks int) error {
	product := 1
	for _, n := range []int{m.Tensor, m.Pipeline, m.Context, m.Data} {
		if n < 1 || n > ranks {
			return fmt.Errorf("mesh: an axis of %d, want 1 to %d", n, ranks)
		}
		if product *= n; product > ranks {
			break
		}
	}
	if product != ranks {
		return fmt.Errorf("mesh: tensor %d x pipeline %d x context %d x data %d is not %d ranks", m.Tensor, m.Pipeline, m.Context, m.Data, ranks)
	}
	if m.Expert < 1 || ranks%m.Expert != 0 {
		return fmt.Errorf("mesh: expert %d does not divide %d ranks", m.Expert, ranks)
	}
	return nil
}

// Check refuses another format, and what contradicts itself.
func (m *Manifest) Check() error {
	if m.Format != Format {
		return fmt.Errorf("format: %.40q, this program reads %q", m.Format, Format)
	}
	if m.Started < 0 {
		return fmt.Errorf("started: %d ms, want at least 0", m.Started)
	}
	if m.Ranks < 1 {
		return fmt.Errorf("ranks: %d, want at least 1", m.Ranks)
	}
	if m.DigestPeriod < 0 {
		return fmt.Errorf("digest_period: %d, want at least 0", m.DigestPeriod)
	}
	if m.Signer == "" {
		return errors.New("signer: no key")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Model)) {
		if err := m.Model[name].Check(); err != nil {
			return fmt.Errorf("model: %.80q: %w", name, err)
		}
	}
	for i, f := range m.Data {
		if err := errors.Join(f.Digest.Check(), atLeast0("bytes", f.Bytes, "rows", f.Rows)); err != nil {
			return fmt.Errorf("data[%d]: %w", i, err)
		}
	}
	return errors.Join(m.Mesh.Check(m.Ranks), checkDevices(m.Devices, len(m.Hosts)), checkDigests("tokenizer", m.Tokenizer, "order", m.Order))
}

// checkDevices refuses devices of hosts that there are not.
func checkDevices(devices []Device, hosts int) error {
	for i, d := range devices {
		if d.Host < 0 || d.Host >= hosts {
			return fmt.Errorf("devices[%d]: host %d of %d", i, d.Host, hosts)
		}
	}
	return nil
}
