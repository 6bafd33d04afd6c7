package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"photofinish/announce"
	"photofinish/rules"
)

// position is where an award or a board stands in its list: both are sorted by it, so that
// the next page begins behind the last one, whatever has been settled between the two.
type position struct {
	Rule    string
	Scope   string
	Window  rules.Window
	Place   int
	Subject string
}

func (p position) compare(o position) int {
	return cmp.Or(
		rules.ContestID{Rule: p.Rule, Scope: rules.Scope(p.Scope), Window: p.Window}.Compare(
			rules.ContestID{Rule: o.Rule, Scope: rules.Scope(o.Scope), Window: o.Window}),
		cmp.Compare(p.Place, o.Place), cmp.Compare(p.Subject, o.Subject))
}

// paged returns the page of a sorted list that a request asks for.
func paged[T any](r *request, list []T, usual, most int, at func(*T) position) (page []T, next string, err error) {
	size, err := r.size(usual, most)
	if err != nil {
		return nil, "", err
	}
	var after position
	given, err := r.token(&after)
	if err != nil {
		return nil, "", err
	}
	if given {
		list = slices.DeleteFunc(list, func(item T) bool { return at(&item).compare(after) <= 0 })
	}
	if len(list) <= size {
		return list, "", nil
	}
	next, err = r.next(at(&list[size-1]))
	return list[:size], next, err
}

// noRule refuses a rule that there is not: nothing that stands is of it, and the last cut was
// settled by a ruleset without it. Where that cannot be known, every rule may be one.
func noRule(all *announce.Report, rule string) error {
	if all == nil || len(all.Rules) == 0 || slices.Contains(all.Rules, rule) ||
		slices.ContainsFunc(all.Awards, func(a announce.Award) bool { return a.Rule == rule }) ||
		slices.ContainsFunc(all.Leaderboards, func(b announce.Leaderboard) bool { return b.Rule == rule }) {
		return nil
	}
	return refuse(http.StatusNotFound, "there is no rule %.80q: cut %d, the last one, was settled by a ruleset without it", rule, all.Cut.Number)
}

// awards answers with awards that stand.
func (h *Handler) awards(ctx context.Context, r *request, last uint64) (*answer, error) {
	rule, subject, state := r.query.Get("rule"), r.query.Get("subject"), rules.AwardState(r.query.Get("state"))
	if state != "" && state != rules.Held && state != rules.Provisional && state != rules.Final {
		return nil, refuse(http.StatusBadRequest, "state is %.40q: held, provisional or final", state)
	}
	all, err := h.cache.standing(ctx, r, last)
	if err != nil {
		return nil, err
	}
	if rule != "" {
		if err := noRule(all, rule); err != nil {
			return nil, err
		}
	}
	found := []announce.Award{}
	if all != nil {
		for i := range all.Awards {
			a := &all.Awards[i]
			if (rule == "" || a.Rule == rule) && (subject == "" || a.Subject == subject) && (state == "" || a.State == state) {
				found = append(found, *a)
			}
		}
	}
	page, next, err := paged(r, found, 100, 1000, func(a *announce.Award) position {
		return position{a.Rule, a.Scope, a.Window, a.Place, a.Subject}
	})
	if err != nil {
		return nil, err
	}
	return jsonAnswer(struct {
		Awards []announce.Award `json:"awards"`
		Next   string           `json:"next_page_token"`
	}{page, next})
}

// boards answers with the boards of a rule: of the window that holds the instant asked for,
// else of all; of each the first lines, or those around a subject.
func (h *Handler) boards(ctx context.Context, r *request, last uint64) (*answer, error) {
	top, err := r.number("top", 100, 1000)
	if err != nil {
		return nil, err
	}
	instant, around := rules.Instant(0), r.query.Get("around")
	within := r.query.Get("window")
	if within != "" {
		if instant, err = rules.ParseInstant(within); err != nil {
			return nil, refuse(http.StatusBadRequest, "window: %v; give an instant within the window", err)
		}
	}
	all, err := h.cache.standing(ctx, r, last)
	if err != nil {
		return nil, err
	}
	rule := r.path("rule")
	if err := noRule(all, rule); err != nil {
		return nil, err
	}
	found := []announce.Leaderboard{}
	if all != nil {
		for i := range all.Leaderboards {
			b := all.Leaderboards[i]
			if b.Rule != rule || within != "" && !b.Window.Contains(instant) {
				continue
			}
			lines, ok := part(b.Standings, top, around)
			if b.Standings = lines; ok {
				found = append(found, b)
			}
		}
	}
	page, next, err := paged(r, found, 10, 100, func(b *announce.Leaderboard) position {
		return position{Rule: b.Rule, Scope: b.Scope, Window: b.Window}
	})
	if err != nil {
		return nil, err
	}
	return jsonAnswer(struct {
		Leaderboards []announce.Leaderboard `json:"leaderboards"`
		Next         string                 `json:"next_page_token"`
	}{page, next})
}

// part returns the first lines of a board, or, where a subject is named, as many lines with
// the subject in their middle; false where it is not on the board.
func part(lines []announce.Line, top int, around string) ([]announce.Line, bool) {
	from := 0
	if around != "" {
		at := slices.IndexFunc(lines, func(l announce.Line) bool { return l.Subject == around })
		if at < 0 {
			return nil, false
		}
		from = max(0, min(at-top/2, len(lines)-top))
	}
	return lines[from:min(from+top, len(lines))], true
}
