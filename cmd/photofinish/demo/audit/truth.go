package audit

import (
	"cmp"
	"slices"

	"photofinish/rules"
)

// truth is a list of events as they truly happened.
type truth []*Event

// counting returns the events that must count: acknowledged, and no rivals.
func (t truth) counting(match func(*Event) bool) truth {
	var list truth
	for _, m := range t {
		if m.Acknowledged && !m.Rival && match(m) {
			list = append(list, m)
		}
	}
	return list
}

// bySubject groups events by what subject returns; "" is nobody.
func (t truth) bySubject(subject func(*Event) string) map[string]truth {
	groups := map[string]truth{}
	for _, m := range t {
		if s := subject(m); s != "" {
			groups[s] = append(groups[s], m)
		}
	}
	return groups
}

// finish is when a subject truly reached a number, and the bounds of what anybody
// can know about it.
type finish struct {
	subject  string
	happened rules.Instant
	seq      uint64 // of the event, on server
	earliest rules.Instant
	latest   rules.Instant
	server   string // where all its events happened; empty: on several
}

// finishes returns, for every subject that reached n, when it did, by true time.
func (t truth) finishes(n int64, subject func(*Event) string) []finish {
	var list []finish
	for name, events := range t.bySubject(subject) { // sorted below by what is unique
		last, ok := events.reach(n, func(m *Event) rules.Instant { return m.Happened })
		if !ok {
			continue
		}
		f := finish{subject: name, happened: last.Happened, seq: last.Seq, server: last.Server}
		early, _ := events.reach(n, func(m *Event) rules.Instant { return m.Happened - 2*rules.Instant(m.ErrNs) })
		late, _ := events.reach(n, func(m *Event) rules.Instant { return m.Happened + 2*rules.Instant(m.ErrNs) })
		f.earliest, f.latest = early.Happened-2*rules.Instant(early.ErrNs), late.Happened+2*rules.Instant(late.ErrNs)
		if slices.ContainsFunc(events, func(m *Event) bool { return m.Server != f.server }) {
			f.server = ""
		}
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b finish) int {
		return cmp.Or(cmp.Compare(a.happened, b.happened), cmp.Compare(a.server, b.server), cmp.Compare(a.seq, b.seq), cmp.Compare(a.subject, b.subject))
	})
	return list
}

// reach returns the event with which the counts add up to n, in the order of when.
func (t truth) reach(n int64, when func(*Event) rules.Instant) (*Event, bool) {
	sorted := slices.SortedFunc(slices.Values(t), func(a, b *Event) int {
		return cmp.Or(cmp.Compare(when(a), when(b)), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Seq, b.Seq))
	})
	sum := int64(0)
	for _, m := range sorted {
		if sum += m.Count; sum >= n {
			return m, true
		}
	}
	return nil, false
}

// certainlyBefore reports whether a finished before b beyond any doubt of clocks.
func (a *finish) certainlyBefore(b *finish) bool {
	if a.server != "" && a.server == b.server {
		return cmp.Or(cmp.Compare(a.happened, b.happened), cmp.Compare(a.seq, b.seq)) < 0
	}
	return a.latest < b.earliest
}

// score returns the least and the most that the events can add up to in a window,
// where a clock's error leaves open whether an event falls into it.
func (t truth) score(w rules.Window) (least, most int64) {
	for _, m := range t {
		from, to := m.Happened-rules.Instant(m.ErrNs), m.Happened+rules.Instant(m.ErrNs)
		if w.Contains(from) && w.Contains(to) {
			least += m.Count
		}
		if to >= w.Opens && from < w.Closes {
			most += m.Count
		}
	}
	return least, most
}

func isKill(target string) func(*Event) bool {
	return func(m *Event) bool { return m.Type == rules.TypeKill && (target == "" || m.Target == target) }
}

func playerOf(m *Event) string { return m.Player }
func guildOf(m *Event) string  { return m.Guild }
