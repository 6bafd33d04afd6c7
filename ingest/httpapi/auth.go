package httpapi

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"photofinish/ingest/keys"
)

// authorize returns the key of a request that may push, or why it may not.
func (h *Handler) authorize(r *http.Request, now time.Time) (keys.Key, error) {
	text := r.PathValue("key")
	if text == "" {
		text = bearer(r.Header)
	}
	k, err := h.keys.Find(r.Context(), text)
	switch {
	case errors.Is(err, keys.ErrUnknown):
		// The wrong ones alone are limited: whoever shares their address is not.
		if wait := h.cfg.WrongKeys.Count(r, now); wait > 0 {
			return k, &refusal{status: http.StatusTooManyRequests, reason: RefusedKey, after: wait, close: true, detail: "too many requests with unknown keys come from this address"}
		}
		return k, &refusal{
			status: http.StatusUnauthorized, reason: RefusedKey, close: true, allow: [2]string{"WWW-Authenticate", `Bearer realm="photofinish"`},
			detail: "a key is needed that is known and not revoked: Authorization: Bearer pf_…",
		}
	case err != nil:
		return k, &refusal{status: http.StatusServiceUnavailable, reason: RefusedStore, after: storeRetry, close: true, detail: err.Error()}
	case k.Role != keys.RoleServer:
		return k, &refusal{status: http.StatusForbidden, reason: RefusedRole, close: true, detail: "this key may read and not push; the key of a server may"}
	}
	return k, nil
}

// bearer returns the one key of the headers; "" where there is none or several.
func bearer(header http.Header) string {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return ""
	}
	scheme, text, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(text, " ")
}
