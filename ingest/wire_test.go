package ingest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"photofinish/rules"
)

// A line is read by itself: events without identity, other lines by kind and stamp, and
// what has no stamp is refused.
func TestReadSourceLine(t *testing.T) {
	for _, c := range []struct{ line, kind, typ, says string }{
		{line: `02/14/2014 - 06:09:34.250 - "a<1><[U:1:7]><CT>" [1 2 3] killed "b<2><BOT><T>" [1 2 3] with "ak47"`, typ: rules.TypeKill},
		{line: `02/14/2014 - 06:09:34.250 - "a<1><[U:1:7]><CT>" purchased "awp"`, typ: rules.TypePurchase},
		{line: `02/14/2014 - 06:09:34.250 - World triggered "Round_End"`, kind: "World"},
		{line: `02/14/2014 - 06:09:34.250 - Loading map "x"`, kind: "Loading"},
		// The end of the line where a word was expected once stopped the program.
		{line: `02/14/2014 - 06:09:34.250 - "a<1><[U:1:7]><CT>" `, kind: "other"},
		{line: `02/14/2014 - 06:09:34.250 - "a<1><[U:1:7]><CT>" [1 2 3] `, kind: "other"},
		{line: `02/14/2014 - 06:09:34.250 - "`, kind: "other"},
		{line: `02/14/2014 - 06:09:34.250 - `, kind: "other"},
		{line: `hello`, says: "has no stamp"},
		{line: `02/30/2014 - 06:09:34.250 - x`, says: "is not a time"},
	} {
		e, openNs, kind, err := ReadSourceLine([]byte(c.line), time.UTC)
		var field *FieldError
		switch {
		case c.says != "":
			if !errors.As(err, &field) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.line, err)
			}
		case err != nil || kind != c.kind || e.Type != c.typ || e.At.String() != "2014-02-14T06:09:34.25Z" || e.ID != "" || e.Seq != 0:
			t.Errorf("%s: %+v, %q, %v", c.line, e, kind, err)
		case c.typ != "" && openNs != wholeMilli:
			t.Errorf("%s: the stamp leaves %d ns open", c.line, openNs)
		}
	}
}
