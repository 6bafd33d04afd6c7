package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"photofinish/ingest"
	"photofinish/ingest/keys"
)

// pushed is what every request has in common once it may send a body.
type pushed struct {
	key     keys.Key
	media   string
	body    *body
	release func()
}

// push takes a request up to the end of its body. Call release when its events are
// no longer held.
func (h *Handler) push(w http.ResponseWriter, r *http.Request, takes ...string) (p pushed, err error) {
	now := h.cfg.Now()
	w.Header().Set(headerReceived, strconv.FormatInt(now.UnixNano(), 10))
	if p.key, err = h.authorize(r, now); err != nil {
		return p, err
	}
	lease, err := h.limits.admit(p.key.ID, now)
	if err != nil {
		return p, err
	}
	whole := false
	defer func() {
		if !whole { // also where something panics
			lease.release()
		}
	}()
	if p.media, err = mediaType(r.Header, takes...); err != nil {
		return p, err
	}
	encoding, err := encodingOf(r.Header)
	if err != nil {
		return p, err
	}
	if encoding != "" {
		if err := lease.mayUnpack(now); err != nil { // before its body is read
			return p, err
		}
	}
	if r.ContentLength > h.cfg.MaxBody {
		return p, tooLarge(h.cfg.MaxBody)
	}
	p.body = &body{limit: h.cfg.MaxBody, lease: lease}
	in := http.MaxBytesReader(w, r.Body, h.cfg.MaxBody)
	if err := p.body.readAll(in, min(r.ContentLength, firstBytes)); err != nil {
		return p, err
	}
	if encoding != "" {
		if p.body, err = h.unpack.unpack(r.Context(), p.body, encoding, h.cfg.Now); err != nil {
			return p, err
		}
	}
	p.release, whole = lease.release, true
	return p, nil
}

// mediaType returns the media type of a body, which must be one of those.
func mediaType(header http.Header, takes ...string) (string, error) {
	values := header.Values("Content-Type")
	if len(values) == 1 && slices.Contains(takes, values[0]) {
		return values[0], nil
	}
	if len(values) == 1 {
		media, parameters, err := mime.ParseMediaType(values[0])
		charset := parameters["charset"]
		if err == nil && slices.Contains(takes, media) && (charset == "" || media == mediaText || strings.EqualFold(charset, "utf-8")) {
			return media, nil
		}
	}
	list := strings.Join(takes, ", ")
	return "", &refusal{
		status: http.StatusUnsupportedMediaType, reason: RefusedType, close: true, allow: [2]string{"Accept-Post", list},
		detail: "Content-Type must be one of " + list,
	}
}

// accept gives the node what was decoded.
func (h *Handler) accept(ctx context.Context, k *keys.Key, d *decoded) (ingest.Result, error) {
	result := ingest.Result{Rejected: []ingest.Rejected{}}
	if len(d.events) > 0 {
		var err error
		result, err = h.node.Accept(ctx, ingest.Batch{
			Server: k.Server, Region: k.Region, Events: d.events, Lines: d.lines, OpenNs: d.openNs, Clock: d.clock,
		})
		if err != nil {
			return result, fmt.Errorf("accept of key %s: %w", k.ID, err)
		}
	}
	result.Rejected = append(result.Rejected, d.rejected...)
	slices.SortStableFunc(result.Rejected, func(a, b ingest.Rejected) int { return cmp.Compare(a.Line, b.Line) })
	return result, nil
}

// answer tells what became of each event.
func (h *Handler) answer(w http.ResponseWriter, result *ingest.Result) {
	for _, c := range []struct {
		result string
		n      int
	}{
		{ResultAccepted, result.Accepted},
		{ResultDuplicate, result.Duplicates},
		{ResultRejected, len(result.Rejected)},
	} {
		if c.n > 0 {
			h.cfg.Count(c.result, c.n)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	h.stamp(w)
	w.WriteHeader(http.StatusOK)
	writeResult(w, result)
}
