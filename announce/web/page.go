package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

var errToken = refuse(http.StatusBadRequest, "page_token is not one that this list gave: leave it out, or give it with the same parameters")

// size returns how many items a page has: as asked for, not more than most.
func (r *request) size(usual, most int) (int, error) { return r.number("page_size", usual, most) }

// number reads a parameter from 1 on; what exceeds most is most.
func (r *request) number(name string, usual, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, refuse(http.StatusBadRequest, "%s is %.40q, not a number from 1 on", name, text)
	}
	return min(n, most), nil
}

// token is where the next page of a list begins.
type token struct {
	List string          `json:"l"` // a digest of the other parameters: a token is of one list
	At   json.RawMessage `json:"a"`
}

// list names the list that a request asks for, whatever the page.
func (r *request) list() string {
	query := url.Values{}
	for name, values := range r.query {
		if name != "page_token" && name != "page_size" {
			query[name] = values
		}
	}
	sum := sha256.Sum256([]byte(r.path("rule") + "?" + query.Encode()))
	return hex.EncodeToString(sum[:6])
}

// token reads the page token into at. It reports false where there is none.
func (r *request) token(at any) (bool, error) {
	text := r.query.Get("page_token")
	if text == "" {
		return false, nil
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false, errToken
	}
	var t token
	if json.Unmarshal(body, &t) != nil || t.List != r.list() || json.Unmarshal(t.At, at) != nil {
		return false, errToken
	}
	return true, nil
}

// next returns the token of the page that begins at.
func (r *request) next(at any) (string, error) {
	text, err := json.Marshal(at)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(token{r.list(), text})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(body), nil
}
