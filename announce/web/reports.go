package web

import (
	"bytes"
	"context"
	"net/http"
	"strconv"

	"photofinish/announce"
)

// standing answers with everything that stands.
func (h *Handler) standing(ctx context.Context, r *request, last uint64) (*answer, error) {
	all, err := h.cache.standing(ctx, r, last)
	switch {
	case err != nil:
		return nil, err
	case all == nil && r.page:
		return newAnswer([]byte(nothingYet), "text/html; charset=utf-8", nothing), nil
	case all == nil:
		empty := announce.Empty()
		return jsonAnswer(&empty)
	}
	return show(all, r.page)
}

const nothingYet = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>photofinish</title></head>
<body><h1>photofinish</h1><p>Nothing is settled yet.</p></body>
</html>
`

// report answers with what one settlement decided.
func (h *Handler) report(ctx context.Context, r *request, _ uint64) (*answer, error) {
	cut, err := strconv.ParseUint(r.path("cut"), 10, 64)
	if err != nil || cut == 0 {
		return nil, refuse(http.StatusNotFound, "%.40q is not the number of a settlement", r.path("cut"))
	}
	reports, err := h.cache.source.Load(ctx, announce.One(cut))
	if err != nil {
		return nil, err
	}
	form := r.form(&reports[0])
	return show(&form, r.page)
}

func show(report *announce.Report, page bool) (*answer, error) {
	if !page {
		return jsonAnswer(report)
	}
	var b bytes.Buffer
	p := announce.Page{Address: func(cut uint64) string { return "/reports/" + strconv.FormatUint(cut, 10) }}
	if err := p.WriteHTML(&b, []announce.Report{*report}); err != nil {
		return nil, err
	}
	return newAnswer(b.Bytes(), "text/html; charset=utf-8", announce.PagePolicy()+"; frame-ancestors 'none'"), nil
}

// reports answers with settlements, the newest first.
func (h *Handler) reports(ctx context.Context, r *request, last uint64) (*answer, error) {
	list := struct {
		Reports []announce.Report `json:"reports"`
		Next    string            `json:"next_page_token"`
	}{Reports: []announce.Report{}}
	size, err := r.size(10, 50)
	if err != nil {
		return nil, err
	}
	to := last
	if given, err := r.token(&to); err != nil {
		return nil, err
	} else if given && to > last {
		return nil, errToken
	}
	if to == 0 {
		return jsonAnswer(list)
	}
	from := max(to, uint64(size)) - uint64(size) + 1
	reports, err := h.cache.source.Load(ctx, announce.Each(from, to))
	if err != nil {
		return nil, err
	}
	for i := range reports {
		list.Reports = append(list.Reports, r.form(&reports[len(reports)-1-i]))
	}
	if from > 1 {
		if list.Next, err = r.next(from - 1); err != nil {
			return nil, err
		}
	}
	return jsonAnswer(list)
}
