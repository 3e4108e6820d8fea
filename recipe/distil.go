package recipe

import "github.com/temper-ml/temper/posttrain/opd"

// Teaching is how the stage learns from teachers, nil if it does not.
func (s *Stage) Teaching() *opd.Config {
	if s.OPD != nil {
		return s.OPD
	}
	return s.Distill
}

// defaultTeaching fills in the section of a stage that learns from teachers.
func (s *Stage) defaultTeaching() {
	c := opd.Default()
	switch s.Method {
	case "distill":
		s.Distill = &c
	case "opd":
		s.OPD = &c
	default:
		return
	}
	s.Loss.MTP = 0.1 // its blocks keep to what the trunk answers
	s.Router.BiasRate = 0
}

// checkTeaching checks the section of a stage that learns from teachers, and refuses
// it elsewhere.
func (s *Stage) checkTeaching() error {
	for _, f := range []struct {
		method  string
		section *opd.Config
	}{{"distill", s.Distill}, {"opd", s.OPD}} {
		switch {
		case s.Method != f.method && f.section != nil:
			return field(f.method, "method %s has no teachers: use method %s, or leave the section out", s.Method, f.method)
		case s.Method != f.method:
		case f.section == nil:
			return field(f.method, "empty: give teachers, each with name and load")
		default:
			if err := f.section.Check(s.Data.Files); err != nil {
				return under(f.method, asField(err))
			}
		}
	}
	if s.Method != "opd" {
		return nil
	}
	switch {
	case s.Rollout != nil && s.Rollout.Ahead > 0:
		return field("rollout.ahead", "%d, but answers of opd are sampled by the weights that learn them: leave it out", s.Rollout.Ahead)
	case len(s.Rewards) > 0:
		return field("rewards", "opd learns from teachers, whatever a rule says of an answer: leave the section out, or use method grpo")
	case s.GRPO != nil:
		return field("grpo", "opd has no policy gradient: leave the section out, or use method grpo")
	}
	return nil
}
