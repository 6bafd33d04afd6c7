package ingest

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"photofinish/rules"
)

// AttrVoid is the attribute of a heartbeat in which a sender lists spans of its running
// numbers, such as 7-9,20-20, that it gave to no event: after a crash it goes on above
// those that may have been used. See package sender.
const AttrVoid = "void"

// The bounds of what a node publishes of such spans.
const (
	maxUnusedServers = 100 // those that spoke of them last
	maxUnusedSpans   = 20  // of a server, the last
)

// VoidSpans reads the value of AttrVoid, at most so many parts of it. What is no span is
// left out.
func VoidSpans(text string, most int) []rules.Span {
	var all []rules.Span
	for span := range strings.SplitSeq(text, ",") {
		if most--; most < 0 {
			break
		}
		from, to, _ := strings.Cut(span, "-")
		first, err1 := strconv.ParseUint(from, 10, 64)
		last, err2 := strconv.ParseUint(to, 10, 64)
		if err1 == nil && err2 == nil && 0 < first && first <= last && last < math.MaxUint64 {
			all = append(all, rules.Span{First: first, Last: last})
		}
	}
	return all
}

// unused is what servers have said since the node was opened of numbers that they gave to
// no event.
type unused struct {
	text  map[string]string // by server, of its last heartbeat that told of any
	order []string          // the server that told last is last
}

// note takes a heartbeat in.
func (u *unused) note(r *record) {
	text := r.Attrs[AttrVoid]
	if text == "" || u.text[r.Server] == text {
		return
	}
	if u.text == nil {
		u.text = map[string]string{}
	}
	u.order = append(slices.DeleteFunc(u.order, func(server string) bool { return server == r.Server }), r.Server)
	u.text[r.Server] = text
	if len(u.order) > maxUnusedServers {
		delete(u.text, u.order[0])
		u.order = u.order[1:]
	}
}

// over returns what servers have said, or else what was published of them before, by
// server and number.
func (u *unused) over(before []rules.Unused) []rules.Unused {
	all := map[string][]rules.Unused{}
	for server, text := range u.text {
		spans := VoidSpans(text, len(text))
		for _, s := range spans[max(0, len(spans)-maxUnusedSpans):] {
			all[server] = append(all[server], rules.Unused{Server: server, Span: s})
		}
	}
	for _, b := range before {
		_, told := u.text[b.Server]
		if _, known := all[b.Server]; !told && (known || len(all) < maxUnusedServers) {
			all[b.Server] = append(all[b.Server], b)
		}
	}
	var list []rules.Unused
	for _, server := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[server]...)
	}
	slices.SortFunc(list, func(a, b rules.Unused) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), cmp.Compare(a.First, b.First))
	})
	return list
}

func readUnused(rows [][]any) ([]rules.Unused, error) {
	var all []rules.Unused
	for _, r := range rows {
		server, ok1 := r[0].(string)
		first, ok2 := r[1].(uint64)
		last, ok3 := r[2].(uint64)
		if !ok1 || !ok2 || !ok3 || first > last {
			return nil, errProgress
		}
		all = append(all, rules.Unused{Server: server, Span: rules.Span{First: first, Last: last}})
	}
	return all, nil
}
