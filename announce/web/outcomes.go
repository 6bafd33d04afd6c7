package web

import (
	"cmp"
	"context"
	"fmt"
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

// page is the part of a list that a request asks for.
type page struct {
	list  string // names the list, whatever the page
	size  int
	given bool // a position to begin behind is given
	after position
}

// paging reads which part of a list is asked for.
func (r *request) paging(list string, usual, most int) (p page, err error) {
	p.list = list
	if p.size, err = r.size(usual, most); err != nil {
		return page{}, err
	}
	p.given, err = r.token(list, &p.after)
	return p, err
}

// plan is how the part is made from what stands. Its key has no more than what it depends on.
func (p page) plan(r *request, c *cache, cut func(all *announce.Report) (*answer, error)) plan {
	return plan{ofList, fmt.Sprintf("%s %s %d %s", form(r.whole), p.list, p.size, r.query.Get("page_token")), func(ctx context.Context, last uint64) (*answer, error) {
		all, err := c.stands(ctx, r.whole, last)
		if err != nil {
			return nil, err
		}
		leave, err := enter(ctx, c.cutting)
		if err != nil {
			return nil, err
		}
		defer leave()
		return cut(all)
	}}
}

// paged returns the page of those that a request wants of a sorted list. It copies no others:
// a list may be long, and anybody may ask for any page of it.
func paged[T any](p page, list []T, wanted func(*T) bool, at func(*T) position) (some []T, token string, err error) {
	if p.given {
		behind, _ := slices.BinarySearchFunc(list, p.after, func(item T, after position) int {
			return cmp.Or(at(&item).compare(after), -1)
		})
		list = list[behind:]
	}
	some = []T{}
	for i := range list {
		switch {
		case !wanted(&list[i]):
		case len(some) < p.size:
			some = append(some, list[i])
		default:
			token, err = next(p.list, at(&some[p.size-1]))
			return some, token, err
		}
	}
	return some, "", nil
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
func (h *Handler) awards(r *request) (plan, error) {
	rule, subject, state := r.query.Get("rule"), r.query.Get("subject"), rules.AwardState(r.query.Get("state"))
	if state != "" && state != rules.Held && state != rules.Provisional && state != rules.Final {
		return plan{}, refuse(http.StatusBadRequest, "state is %.40q: held, provisional or final", state)
	}
	p, err := r.paging(fmt.Sprintf("awards %q %q %q", rule, subject, state), 100, 1000)
	if err != nil {
		return plan{}, err
	}
	return p.plan(r, h.cache, func(all *announce.Report) (*answer, error) {
		if rule != "" {
			if err := noRule(all, rule); err != nil {
				return nil, err
			}
		}
		some, next, err := paged(p, awardsOf(all), func(a *announce.Award) bool {
			return (rule == "" || a.Rule == rule) && (subject == "" || a.Subject == subject) && (state == "" || a.State == state)
		}, func(a *announce.Award) position {
			return position{a.Rule, a.Scope, a.Window, a.Place, a.Subject}
		})
		if err != nil {
			return nil, err
		}
		return jsonAnswer(struct {
			Awards []announce.Award `json:"awards"`
			Next   string           `json:"next_page_token"`
		}{some, next})
	}), nil
}

func awardsOf(all *announce.Report) []announce.Award {
	if all == nil {
		return nil
	}
	return all.Awards
}

func boardsOf(all *announce.Report) []announce.Leaderboard {
	if all == nil {
		return nil
	}
	return all.Leaderboards
}

// boards answers with the boards of a rule: of the window that holds the instant asked for,
// else of all; of each the first lines, or those around a subject.
func (h *Handler) boards(r *request) (plan, error) {
	top, err := r.number("top", 100, 1000)
	if err != nil {
		return plan{}, err
	}
	instant, around := rules.Instant(0), r.query.Get("around")
	within := r.query.Get("window") != ""
	if within {
		if instant, err = rules.ParseInstant(r.query.Get("window")); err != nil {
			return plan{}, refuse(http.StatusBadRequest, "window: %v; give an instant within the window", err)
		}
	}
	rule := r.path("rule")
	p, err := r.paging(fmt.Sprintf("boards %q %t %d %q %d", rule, within, instant, around, top), 10, 100)
	if err != nil {
		return plan{}, err
	}
	return p.plan(r, h.cache, func(all *announce.Report) (*answer, error) {
		if err := noRule(all, rule); err != nil {
			return nil, err
		}
		some, next, err := paged(p, boardsOf(all), func(b *announce.Leaderboard) bool {
			return b.Rule == rule && (!within || b.Window.Contains(instant)) && (around == "" || placeOn(b.Standings, around) >= 0)
		}, func(b *announce.Leaderboard) position {
			return position{Rule: b.Rule, Scope: b.Scope, Window: b.Window}
		})
		if err != nil {
			return nil, err
		}
		for i := range some {
			some[i].Standings = part(some[i].Standings, top, around)
		}
		return jsonAnswer(struct {
			Leaderboards []announce.Leaderboard `json:"leaderboards"`
			Next         string                 `json:"next_page_token"`
		}{some, next})
	}), nil
}

// part returns the first lines of a board, or, where a subject is named that is on it, as many
// lines with the subject in their middle.
func part(lines []announce.Line, top int, around string) []announce.Line {
	from := 0
	if around != "" {
		from = max(0, min(placeOn(lines, around)-top/2, len(lines)-top))
	}
	return lines[from:min(from+top, len(lines))]
}

// placeOn returns the index of the line of a subject; -1 if it is not on the board.
func placeOn(lines []announce.Line, subject string) int {
	return slices.IndexFunc(lines, func(l announce.Line) bool { return l.Subject == subject })
}
