package demo

import (
	"cmp"
	"slices"
	"time"

	"photofinish/rules"
)

// made is an event as it truly happened, and what the network made of it.
type made struct {
	rules.Event               // with At by the server's clock
	happened    rules.Instant // when it happened
	bad         string        // why it must be refused; empty: it is a good one
	rival       bool          // other content under the ID of an earlier event: must not count

	acknowledged bool
	refused      bool
	cut          uint64 // the first cut that could read it; 0: it is not in the log
	errNs        int64  // the greatest error of a clock estimate that it was sent with
}

// truth is every event that was made.
type truth []*made

// counting returns the events that must count: acknowledged, and no rivals.
func (t truth) counting(match func(*made) bool) truth {
	var list truth
	for _, m := range t {
		if m.acknowledged && !m.rival && match(m) {
			list = append(list, m)
		}
	}
	return list
}

// bySubject groups events by what subject returns; "" is nobody.
func (t truth) bySubject(subject func(*made) string) map[string]truth {
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
func (t truth) finishes(n int64, subject func(*made) string) []finish {
	var list []finish
	for name, events := range t.bySubject(subject) { // sorted below by what is unique
		last, ok := events.reach(n, func(m *made) rules.Instant { return m.happened })
		if !ok {
			continue
		}
		f := finish{subject: name, happened: last.happened, seq: last.Seq, server: last.Server}
		early, _ := events.reach(n, func(m *made) rules.Instant { return m.happened - 2*rules.Instant(m.errNs) })
		late, _ := events.reach(n, func(m *made) rules.Instant { return m.happened + 2*rules.Instant(m.errNs) })
		f.earliest, f.latest = early.happened-2*rules.Instant(early.errNs), late.happened+2*rules.Instant(late.errNs)
		if slices.ContainsFunc(events, func(m *made) bool { return m.Server != f.server }) {
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
func (t truth) reach(n int64, when func(*made) rules.Instant) (*made, bool) {
	sorted := slices.SortedFunc(slices.Values(t), func(a, b *made) int {
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
		from, to := m.happened-rules.Instant(m.errNs), m.happened+rules.Instant(m.errNs)
		if w.Contains(from) && w.Contains(to) {
			least += m.Count
		}
		if to >= w.Opens && from < w.Closes {
			most += m.Count
		}
	}
	return least, most
}

// epoch is when every world begins.
var epoch = rules.Instant(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixNano())

func isKill(target string) func(*made) bool {
	return func(m *made) bool { return m.Type == rules.TypeKill && (target == "" || m.Target == target) }
}

func playerOf(m *made) string { return m.Player }
func guildOf(m *made) string  { return m.Guild }

func hours(n int) time.Duration { return time.Duration(n) * time.Hour }
