package attest

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// cardDocument is the model card.
func cardDocument(f *facts) ([]byte, error) {
	files, root, err := f.model()
	if err != nil {
		return nil, err
	}
	c := &card{f: f}
	c.frontMatter()
	c.line("# %s\n", markdown(f.name()))
	c.line("Trained by temper from %s to %s. This card is derived from the signed record of the run, to the last byte; nobody wrote into it.\n", rfc3339(f.started()), rfc3339(f.finished))
	c.model(len(files), root)
	c.training()
	c.evaluation()
	c.data()
	c.machine()
	c.verification(root)
	c.line("## Limits\n")
	for _, l := range f.limits() {
		c.line("- %s", l)
	}
	c.line("\n## Recipe\n\nComplete, defaults included; with the data and the program it decides every bit of the model.\n")
	c.line("%s", strings.TrimSuffix(fenced("yaml", f.manifest.Recipe), "\n"))
	return []byte(c.b.String()), nil
}

// card is a card in the making.
type card struct {
	f *facts
	b strings.Builder
}

func (c *card) line(format string, args ...any) { fmt.Fprintf(&c.b, format+"\n", args...) }

// row writes a row of a table of two columns, unless there is nothing to say.
func (c *card) row(name, value string) {
	if value != "" {
		c.line("| %s | %s |", name, value)
	}
}

func (c *card) table(columns ...string) {
	c.line("| %s |", strings.Join(columns, " | "))
	c.line("|%s", strings.Repeat("---|", len(columns)))
}

// frontMatter is what Hugging Face reads. A number that YAML cannot say is left out.
func (c *card) frontMatter() {
	family, _ := c.f.architecture()
	c.line("---\nlibrary_name: temper\npipeline_tag: text-generation\ntags:\n- temper")
	if family != "" {
		c.line("- %s", yamlString(family))
	}
	var results strings.Builder
	for _, m := range c.f.measures() {
		if m.after == nil || math.IsNaN(*m.after) || math.IsInf(*m.after, 0) {
			continue
		}
		kind := "exact_match"
		switch {
		case m.kind == lossKind:
			kind = "loss"
		case strings.HasPrefix(m.kind, meanKind):
			kind = meanKind
		}
		fmt.Fprintf(&results, "  - task:\n      type: text-generation\n    dataset:\n      type: %s\n      name: %s\n    metrics:\n    - type: %s\n      name: %s\n      value: %s\n",
			yamlString(m.of), yamlString(m.of+" of stage "+m.stage), kind, yamlString(m.kind), yamlNumber(*m.after))
	}
	if results.Len() > 0 {
		c.line("model-index:\n- name: %s\n  results:\n%s---\n", yamlString(c.f.name()), results.String())
		return
	}
	c.line("---\n")
}

// yamlNumber is a finite number that every YAML reader takes for one.
func yamlNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (c *card) model(files int, root string) {
	g := c.f.config()
	_, class := c.f.architecture()
	c.line("## Model\n")
	c.table("", "")
	c.row("architecture", markdown(g.Type))
	c.row("class", markdown(class))
	c.row("parameters", known(c.f.begin.Total))
	c.row("parameters that a token meets", known(c.f.begin.Active))
	c.row("layers", known(g.Layers))
	c.row("hidden size", known(g.Hidden))
	c.row("routed experts per layer", known(g.Experts))
	c.row("experts per token", known(g.Routed))
	c.row("vocabulary", known(g.Vocabulary))
	c.row("positions", known(g.Positions))
	c.row("parameters trained in", markdown(c.f.manifest.Precision.Parameters))
	c.row("started from", c.base())
	c.row("digest of the final parameters", code(string(c.f.end.Weights)))
	c.row("files", strconv.Itoa(files))
	c.row("digest of the files", code("sha256:"+root))
	c.line("")
}

// base says what training began with.
func (c *card) base() string {
	m := &c.f.manifest
	if len(m.Model) == 0 {
		return fmt.Sprintf("drawn at random, seed %d", m.Seed)
	}
	return fmt.Sprintf("a base model of %d tensors, digest of their digests %s", len(m.Model), code(string(baseDigest(m))))
}

// known is a count, empty if there is none.
func known(n int64) string {
	if n <= 0 {
		return ""
	}
	return grouped(n)
}

// grouped is an integer with commas.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (c *card) training() {
	f := c.f
	c.line("## Training\n")
	c.table("stage", "method", "steps", "rows per step", "tokens of a row, at most", "optimizer", "learning rate", "loss of the first step", "of the last")
	for i := range f.stages {
		s := &f.stages[i]
		c.line("| %s | %s | %s | %s | %s | %s | %s | %s | %s |", markdown(s.Name), markdown(s.Method), grouped(s.Steps), known(s.Batch), known(s.Sequence),
			markdown(s.Optimizer), markdown(scheduleText(s)), s.loss(true), s.loss(false))
	}
	c.line("\nLosses are means per supervised token, in nats.\n")
	c.table("", "")
	c.row("steps", grouped(f.end.Steps))
	c.row("examples", grouped(f.end.Examples))
	c.row("tokens", grouped(f.end.Tokens))
	c.row("of them supervised", grouped(f.end.Supervised))
	c.row("operations of the model", number(f.flops)+" FLOP, forward and backward")
	c.row("time in steps", number(float64(f.wall)/1e9)+" s")
	c.row("time from start to end", number(float64(f.finished-f.started())/1e3)+" s")
	if again := f.steps - f.end.Steps; again > 0 {
		c.row("steps taken again after a fault", grouped(again)+", operations and time included above")
	}
	energy := f.energyText()
	if energy != "unknown" {
		energy += " J in steps"
	}
	c.row("energy", energy)
	c.line("")
}

// loss is the loss of a stage's first or last step, by the objective's name.
func (s *stage) loss(first bool) string {
	step := s.last
	if first {
		step = s.first
	}
	if step == nil {
		return ""
	}
	if v, ok := step.Losses["lm"]; ok {
		return number(v)
	}
	var parts []string
	for _, name := range sortedKeys(step.Losses) {
		parts = append(parts, markdown(name)+" "+number(step.Losses[name]))
	}
	return strings.Join(parts, ", ")
}

func (c *card) evaluation() {
	ms := c.f.measures()
	c.line("## Evaluation\n")
	if len(ms) == 0 {
		c.line("None was made.\n")
		return
	}
	c.table("stage", "measured on", "what", "before", "after", "over")
	for _, m := range ms {
		c.line("| %s | %s | %s | %s | %s | %s %s |", markdown(m.stage), markdown(m.of), m.kind,
			at(m.before, m.beforeStep), at(m.after, m.afterStep), grouped(m.n), m.unit)
	}
	c.line("")
}

// at is a value and after how many steps of its stage it was measured.
func at(v *float64, step int64) string {
	if v == nil {
		return "not measured"
	}
	return fmt.Sprintf("%s (step %s)", number(*v), grouped(step))
}

func (c *card) data() {
	m := &c.f.manifest
	c.line("## Data\n")
	if len(m.Data) > 0 {
		c.table("file", "bytes", "rows", "digest")
		for _, d := range m.Data {
			c.line("| %s | %s | %s | %s |", markdown(d.Path), grouped(d.Bytes), grouped(d.Rows), code(string(d.Digest)))
		}
		c.line("")
	}
	c.table("", "")
	c.row("tokenizer", code(string(m.Tokenizer)))
	for i := range c.f.stages {
		if s := &c.f.stages[i]; s.Order != "" {
			c.row("order of the examples of stage "+markdown(s.Name), code(string(s.Order)))
		}
	}
	c.row("order of all examples", code(string(m.Order)))
	c.line("")
}

func (c *card) machine() {
	m := &c.f.manifest
	c.line("## Program and machine\n")
	c.table("", "")
	c.row("temper", markdown(m.Program.Version))
	c.row("revision", code(m.Program.Revision))
	c.row("Go", markdown(m.Program.Go))
	c.row("ranks", grouped(int64(m.Ranks)))
	for i := range m.Hosts {
		h := &m.Hosts[i]
		if i == maxHosts {
			c.row("hosts not shown", grouped(int64(len(m.Hosts)-i)))
			break
		}
		c.row("host "+strconv.Itoa(i), fmt.Sprintf("%s, %d cores, %s bytes of memory, %s", markdown(h.CPU), h.Cores, grouped(h.Memory), markdown(h.Kernel)))
	}
	c.line("")
}

// maxHosts is how many hosts a card lists.
const maxHosts = 16

func (c *card) verification(root string) {
	f := c.f
	c.line("## Verify it\n\nThe record of the run (directory `record`) was signed by this key while the run went on. Make sure that you have it from its owner, not only from here.\n")
	c.table("", "")
	c.row("verifier key", code(f.manifest.Signer))
	c.row("tree head", fmt.Sprintf("%d leaves, %s", f.leaves, code(base64.StdEncoding.EncodeToString(f.rootBytes()))))
	c.line("\n%s", fenced("sh", "temper verify RUN --key '"+shellSafe(f.manifest.Signer)+"'    # record, attestations and files; takes steps again\n"+
		"model_signing verify key RUN/model --signature RUN/attestations/model.sig --public_key RUN/attestations/model.pub"))
	c.line("`model_signing` is OpenSSF's, from PyPI. `record.json` binds `model.pub` and this card to the verifier key; the root of the files is `%s`.\n", root)
}

// shellSafe is a text without what ends a quoted word.
func shellSafe(s string) string { return strings.ReplaceAll(visible(s), "'", "") }
