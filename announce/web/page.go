package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
)

var errToken = refuse(http.StatusBadRequest, "page_token is not one that this list gave: leave it out, or give it with the same parameters")

// size returns how many items a page has: as asked for, not more than most.
func (r *request) size(usual, most int) (int, error) { return r.number("page_size", usual, most) }

// number reads a parameter from 1 on; what exceeds most is most. A number has one spelling.
func (r *request) number(name string, usual, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || strconv.Itoa(n) != text {
		return 0, refuse(http.StatusBadRequest, "%s is %.40q, not a number from 1 on, without a sign or leading zeros", name, text)
	}
	return min(n, most), nil
}

// token is where the next page of a list begins.
type token struct {
	List string          `json:"l"` // a digest of the other parameters: a token is of one list
	At   json.RawMessage `json:"a"`
}

// token reads the page token of a list into at, a pointer to what its pages begin at. It
// reports false where there is none. A token has one spelling too: the one that next gives.
func (r *request) token(list string, at any) (bool, error) {
	text := r.query.Get("page_token")
	if text == "" {
		return false, nil
	}
	body, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return false, errToken
	}
	var t token
	if json.Unmarshal(body, &t) != nil || json.Unmarshal(t.At, at) != nil {
		return false, errToken
	}
	if given, err := next(list, at); err != nil || given != text {
		return false, errToken
	}
	return true, nil
}

// next returns the token of the page of a list that begins at.
func next(list string, at any) (string, error) {
	text, err := json.Marshal(at)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(list))
	body, err := json.Marshal(token{hex.EncodeToString(sum[:6]), text})
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(body), nil
}
