package sender

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A request that a node cannot take is halved until the events that spoil it stand alone;
// these are set aside with the node's words, the others go through, in order.
func TestHalvedAndSetAside(t *testing.T) {
	for _, status := range []int{400, 413, 415} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "one")
			bad := func(r request) reply {
				for _, l := range r.lines {
					if strings.HasPrefix(l.ID, "bad") {
						return reply{status: status, problem: true, body: "cannot read " + l.ID}
					}
				}
				return reply{}
			}
			w.set("one", bad)
			c := w.config(t.TempDir())
			s, l := open(t, c)
			accept(t, s, "a", "bad1", "b", "bad2", "c")
			run(t, s, 0)
			expect(t, w.sent("one"), "a bad1 b bad2 c ♥ | a bad1 b | a | bad1 b | bad1 | b | bad2 c ♥ | bad2 | c ♥")
			reason := fmt.Sprintf("%d %s: No: cannot read ", status, map[int]string{
				400: "Bad Request", 413: "Request Entity Too Large", 415: "Unsupported Media Type",
			}[status])
			expect(t, refusedEvents(t, s), "bad1: "+reason+"bad1, bad2: "+reason+"bad2")
			if st := s.Status(); st.Refused != 2 || st.Unsent != 0 || !strings.Contains(l.String(), "level=ERROR") {
				t.Errorf("%+v", st)
			}
			info, err := os.Stat(s.refused.path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file of refused events: %v, %v", info.Mode(), err)
			}
			_ = s.Close()
			w.forget()
			s, _ = open(t, c)
			run(t, s, 0)
			expect(t, w.sent("one"), "♥")
		})
	}
}

// What a node rejects alone is set aside; a heartbeat is not kept and not set aside.
func TestRejectedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		w.set("one", always(reply{rejected: []rejected{{Line: 2, ID: "b", Error: "sku is missing"}, {Line: 4, Error: "at is in the future"}}}))
		s, l := open(t, w.config(t.TempDir()))
		accept(t, s, "a", "b", "c")
		run(t, s, 0)
		expect(t, refusedEvents(t, s), "b: sku is missing")
		if st := s.Status(); st.Refused != 1 || st.Unsent != 0 || !strings.Contains(l.String(), "look at the clock") {
			t.Errorf("%+v, %s", st, l)
		}
	})
}

// A wrong key, a wrong address, and a proxy that refuses what the node would take: nothing
// is set aside, a person is called each minute, and all of it is sent once it is mended.
func TestWrongUntilMended(t *testing.T) {
	for name, a := range map[string]reply{
		"401": {status: 401, problem: true}, "403": {status: 403, problem: true}, "404": {status: 404},
		"302": {status: 302, header: map[string]string{"Location": "http://two/"}}, "204": {status: 204},
		"a proxy's 400": {status: 400, body: "<html>"}, "a proxy's 413": {status: 413, body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one")
				w.set("one", always(a))
				s, l := open(t, w.config(t.TempDir()))
				accept(t, s, "a")
				running(t, s)
				time.Sleep(10*time.Minute + time.Second)
				if n := strings.Count(l.String(), "until a person mends it"); n != 11 {
					t.Errorf("%d alarms in ten minutes", n)
				}
				w.set("one", nil)
				w.forget()
				time.Sleep(time.Minute)
				if got := w.sent("one"); !strings.HasPrefix(got, "a") {
					t.Errorf("then it sent %s", got)
				}
				if st := s.Status(); st.Unsent != 0 || refusedEvents(t, s) != "" {
					t.Errorf("%+v, set aside: %s", st, refusedEvents(t, s))
				}
			})
		})
	}
}

// Refused events that the disk does not take stay in the spool and before the mark; they
// are written with the next.
func TestRefusedCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		w.set("one", func(r request) reply {
			if strings.HasPrefix(r.lines[0].ID, "bad") {
				return reply{rejected: []rejected{{Line: 1, Error: "no"}}}
			}
			return reply{}
		})
		c := w.config(t.TempDir())
		s, l := open(t, c)
		path := s.refused.path
		s.refused.path = c.Dir + "/missing/refused"
		accept(t, s, "a")
		run(t, s, 0)
		accept(t, s, "bad1")
		run(t, s, linger)
		accept(t, s, "b")
		run(t, s, linger)
		if s.marked() != 1 || s.acked != 3 || !strings.Contains(l.String(), "not set aside yet") {
			t.Errorf("the mark is %d of %d: %s", s.marked(), s.acked, l)
		}
		s.refused.path = path
		accept(t, s, "bad2")
		run(t, s, linger)
		expect(t, refusedEvents(t, s), "bad1: no, bad2: no")
		if s.marked() != 4 {
			t.Errorf("the mark is %d", s.marked())
		}
		s.refused.maxBytes = 1
		accept(t, s, "bad3")
		run(t, s, linger)
		if s.marked() != 4 || !strings.Contains(l.String(), "move it away") {
			t.Errorf("the mark is %d: %s", s.marked(), l)
		}
		_ = s.Close()
		s, _ = open(t, c)
		run(t, s, 0)
		expect(t, refusedEvents(t, s), "bad1: no, bad2: no, bad3: no")
	})
}
