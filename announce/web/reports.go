package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"photofinish/announce"
)

// maxAwards is how many awards of each rule the answer about everything that stands has. The
// list of awards has all.
const maxAwards = 1000

// standing answers with everything that stands.
func (h *Handler) standing(r *request) (plan, error) {
	return plan{ofStanding, form(r.whole) + look(r.page), func(ctx context.Context, last uint64) (*answer, error) {
		all, err := h.cache.stands(ctx, r.whole, last)
		switch {
		case err != nil:
			return nil, err
		case all == nil && r.page:
			return newAnswer([]byte(nothingYet), "text/html; charset=utf-8", nothing), nil
		case all == nil:
			empty := announce.Empty()
			return jsonAnswer(&empty)
		}
		leave, err := enter(ctx, h.cache.reading)
		if err != nil {
			return nil, err
		}
		defer leave()
		brief := announce.Brief(all, maxAwards)
		return show(&brief, r.page)
	}}, nil
}

const nothingYet = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>photofinish</title></head>
<body><h1>photofinish</h1><p>Nothing is settled yet.</p></body>
</html>
`

// ofCut is the plan of a settlement's answer without how to make it: enough to find it.
func ofCut(whole, page bool, cut uint64) plan {
	return plan{kind: ofReport, key: fmt.Sprintf("%s%s %d", form(whole), look(page), cut)}
}

// report answers with what one settlement decided.
func (h *Handler) report(r *request) (plan, error) {
	text := r.path("cut")
	cut, err := strconv.ParseUint(text, 10, 64)
	if err != nil || cut == 0 || strconv.FormatUint(cut, 10) != text { // a number has one spelling
		return plan{}, refuse(http.StatusNotFound, "%.40q is not the number of a settlement", text)
	}
	p := ofCut(r.whole, r.page, cut)
	p.make = func(ctx context.Context, last uint64) (*answer, error) {
		if cut > last+1 { // the next one may have been settled within the second
			return nil, &announce.NotSettledError{Cut: cut, Last: last}
		}
		leave, err := enter(ctx, h.cache.loads)
		if err != nil {
			return nil, err
		}
		defer leave()
		own, cancel := own(ctx)
		defer cancel()
		reports, err := h.cache.source.Load(own, announce.One(cut))
		if err != nil {
			return nil, err
		}
		return show(shownTo(r.whole, &reports[0]), r.page)
	}
	return p, nil
}

func show(report *announce.Report, page bool) (*answer, error) {
	if !page {
		return jsonAnswer(report)
	}
	var b bytes.Buffer
	p := announce.Page{
		Address: func(cut uint64) string { return "/reports/" + strconv.FormatUint(cut, 10) },
		Awards:  func(rule string) string { return "/v1/awards?rule=" + url.QueryEscape(rule) },
	}
	if err := p.WriteHTML(&b, []announce.Report{*report}); err != nil {
		return nil, err
	}
	return newAnswer(b.Bytes(), "text/html; charset=utf-8", announce.PagePolicy()+"; frame-ancestors 'none'"), nil
}

// reports answers with settlements, the newest first.
func (h *Handler) reports(r *request) (plan, error) {
	const name = "reports"
	size, err := r.size(10, 50)
	if err != nil {
		return plan{}, err
	}
	var begin uint64
	given, err := r.token(name, &begin)
	if err != nil {
		return plan{}, err
	} else if given && begin == 0 {
		return plan{}, errToken
	}
	return plan{ofList, fmt.Sprintf("%s %s %d %d", form(r.whole), name, size, begin), func(ctx context.Context, last uint64) (*answer, error) {
		list := struct {
			Reports []json.RawMessage `json:"reports"`
			Next    string            `json:"next_page_token"`
		}{Reports: []json.RawMessage{}}
		to := last
		if given {
			to = begin
		}
		if to > last {
			return nil, errToken
		}
		if to == 0 {
			return jsonAnswer(list)
		}
		from := max(to, uint64(size)) - uint64(size) + 1
		reports, err := h.cache.settlements(ctx, r.whole, from, to, last)
		if err != nil {
			return nil, err
		}
		slices.Reverse(reports)
		list.Reports = reports
		if from > 1 {
			if list.Next, err = next(name, from-1); err != nil {
				return nil, err
			}
		}
		leave, err := enter(ctx, h.cache.cutting)
		if err != nil {
			return nil, err
		}
		defer leave()
		return jsonAnswer(list)
	}}, nil
}
