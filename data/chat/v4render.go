package chat

import "sort"

// v4Turn is one turn as V4 sees it: a message, or user and tool messages merged.
type v4Turn struct {
	role   Role
	msg    int // index of its first message
	task   Task
	blocks []v4Block      // of a user turn
	order  map[string]int // of the calls that its tool results answer
}

// v4Block is a part of a user turn.
type v4Block struct {
	msg    int
	result bool // a tool result
}

// Render writes the first n messages: merge tools into user turns, order their
// results, drop old reasoning, then write turn by turn.
func (s *v4Script) Render(dst []Piece, n int, prompt bool) []Piece {
	r := v4Renderer{v4Script: s, writer: writer{pieces: dst, message: -1}}
	r.special(Frame, bosToken)
	r.turns = s.merge(n)
	r.drop = s.dropsThinking(n)
	if s.conv.Thinking && r.drop {
		r.turns = dropDevelopers(r.turns)
	}
	r.lastUser = lastUser(r.turns)
	for i := range r.turns {
		r.turn(i)
		if i+1 < len(r.turns) || prompt {
			r.transition(i)
		}
	}
	return r.pieces
}

// Stable holds outside thinking mode, and where no reasoning is ever dropped.
func (s *v4Script) Stable() bool {
	return !s.conv.Thinking || !s.dropsThinking(min(1, len(s.conv.Messages)))
}

// merge joins tool results, and user text after them, into user turns.
func (s *v4Script) merge(n int) []v4Turn {
	turns := make([]v4Turn, 0, n)
	var order map[string]int // of the calls of the last assistant that made any
	for i := range n {
		m := &s.conv.Messages[i]
		if m.Role != User && m.Role != Tool {
			turns = append(turns, v4Turn{role: m.Role, msg: i, task: m.Task})
			if m.Role == Assistant && len(m.ToolCalls) > 0 {
				order = callOrder(m.ToolCalls)
			}
			continue
		}
		block := v4Block{msg: i, result: m.Role == Tool}
		last := len(turns) - 1
		if last >= 0 && turns[last].role == User && (m.Role == Tool || turns[last].task == "") {
			turns[last].blocks = append(turns[last].blocks, block)
		} else {
			turns = append(turns, v4Turn{role: User, msg: i, task: m.Task, blocks: []v4Block{block}, order: order})
		}
	}
	for i := range turns {
		s.sortResults(turns[i].blocks, turns[i].order)
	}
	return turns
}

func callOrder(calls []ToolCall) map[string]int {
	order := make(map[string]int, len(calls))
	for i, c := range calls {
		if c.ID != "" {
			order[c.ID] = i
		}
	}
	return order
}

// sortResults puts the tool results among blocks into the order of the calls
// they answer; text keeps its place, and a result of no known call counts as one
// of the first call.
func (s *v4Script) sortResults(blocks []v4Block, order map[string]int) {
	var results []int
	for _, b := range blocks {
		if b.result {
			results = append(results, b.msg)
		}
	}
	if len(results) < 2 || len(order) == 0 {
		return
	}
	sort.SliceStable(results, func(i, j int) bool {
		m := s.conv.Messages
		return order[m[results[i]].ToolCallID] < order[m[results[j]].ToolCallID]
	})
	for i := range blocks {
		if blocks[i].result {
			blocks[i].msg, results = results[0], results[1:]
		}
	}
}

// dropsThinking reports whether old reasoning goes: never when tools are given.
func (s *v4Script) dropsThinking(n int) bool {
	if s.conv.KeepReasoning {
		return false
	}
	for i := range n {
		if len(s.conv.Messages[i].Tools) > 0 {
			return false
		}
	}
	return true
}

// lastUser returns the index of the last user or developer turn, or -1.
func lastUser(turns []v4Turn) int {
	for i := len(turns) - 1; i >= 0; i-- {
		if turns[i].role == User || turns[i].role == Developer {
			return i
		}
	}
	return -1
}

// dropDevelopers removes the developer turns before the last user turn, as the
// published encoding does where it drops reasoning.
func dropDevelopers(turns []v4Turn) []v4Turn {
	last := lastUser(turns)
	kept := turns[:0]
	for i, t := range turns {
		if t.role != Developer || i >= last {
			kept = append(kept, t)
		}
	}
	return kept
}

// v4Renderer writes one prefix.
type v4Renderer struct {
	*v4Script
	writer
	turns    []v4Turn
	drop     bool
	lastUser int
}

func (r *v4Renderer) turn(i int) {
	t := &r.turns[i]
	m := &r.conv.Messages[t.msg]
	r.message = t.msg
	if i == 0 && r.conv.Thinking && r.effort != "" {
		r.plain(Frame, r.effort)
	}
	switch t.role {
	case System:
		r.plain(Text, m.Content)
		r.body(t.msg)
	case Developer:
		r.special(Frame, userToken)
		r.plain(Text, m.Content)
		r.body(t.msg)
	case User:
		r.special(Frame, userToken)
		r.userBlocks(t.blocks)
	case Reminder:
		r.special(Frame, reminderToken)
		r.plain(Text, m.Content)
	case Assistant:
		r.assistant(i, m)
	}
}

func (r *v4Renderer) body(msg int) {
	if r.bodies != nil {
		r.pieces = append(r.pieces, r.bodies[msg]...)
	}
}

func (r *v4Renderer) userBlocks(blocks []v4Block) {
	for j, b := range blocks {
		r.message = b.msg
		if j > 0 {
			r.plain(Frame, "\n\n")
		}
		text := r.conv.Messages[b.msg].Content
		if b.result {
			r.plain(Frame, "<tool_result>")
			r.plain(Text, text)
			r.plain(Frame, "</tool_result>")
		} else {
			r.plain(Text, text)
		}
	}
}

func (r *v4Renderer) assistant(i int, m *Message) {
	answersTask := i > 0 && r.turns[i-1].task != ""
	if r.conv.Thinking && !answersTask && (!r.drop || i > r.lastUser) {
		r.plain(Reasoning, m.Reasoning)
		r.special(Reasoning, thinkEndToken)
	}
	r.plain(Content, m.Content)
	r.body(r.turns[i].msg)
	if !m.Unfinished {
		r.special(End, eosToken)
	}
}

// transition writes what leads from turn i to the assistant's next words: the
// role token and whether it thinks, or a quick instruction.
func (r *v4Renderer) transition(i int) {
	if i+1 < len(r.turns) && r.turns[i+1].role != Assistant && r.turns[i+1].role != Reminder {
		return
	}
	t := &r.turns[i]
	opening := thinkEndToken
	if r.conv.Thinking && (!r.drop || i >= r.lastUser || t.task == TaskAction) {
		opening = thinkToken
	}
	switch {
	case t.task == TaskAction:
		r.special(Frame, assistToken)
		r.special(Frame, opening)
		r.special(Frame, taskTokens[t.task])
	case t.task != "":
		r.special(Frame, taskTokens[t.task])
	case t.role == User || t.role == Developer:
		r.special(Frame, assistToken)
		r.special(Frame, opening)
	}
}
