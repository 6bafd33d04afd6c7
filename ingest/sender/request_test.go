package sender

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A node that asks for time gets it.
func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		least  time.Duration
	}{
		"seconds": {"120", 2 * time.Minute},
		"a date":  {"Sat, 01 Jan 2000 00:03:00 GMT", 3 * time.Minute},
		"years":   {"2000000000", DefaultPatience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one")
				w.set("one", always(reply{status: 429, header: map[string]string{"Retry-After": c.header}}))
				s, _ := open(t, w.config(t.TempDir()))
				running(t, s)
				time.Sleep(c.least - time.Nanosecond)
				synctest.Wait()
				if n := len(w.requests("one")); n != 1 {
					t.Errorf("%d requests before the time was over", n)
				}
				time.Sleep(time.Minute)
				if n := len(w.requests("one")); n < 2 {
					t.Error("no request afterwards")
				}
			})
		})
	}
}

// The key is asked for each request; one that cannot be read is a key to be mended.
func TestKeyIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		c := w.config(t.TempDir())
		path := c.Dir + "/key"
		c.Key = KeyFile(path)
		s, l := open(t, c)
		running(t, s)
		time.Sleep(time.Second)
		if w.sent("one") != "" || !strings.Contains(l.String(), "key file") {
			t.Errorf("without a key it sent %q: %s", w.sent("one"), l)
		}
		for _, key := range []string{"pf_one", "pf_two"} {
			if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			r := w.requests("one")
			expect(t, r[len(r)-1].key, "Bearer "+key)
		}
	})
}

func TestKeyFile(t *testing.T) {
	path := t.TempDir() + "/key"
	for _, c := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"pf_abc\n", 0o600, ""},
		{"pf_abc", 0o400, ""},
		{"pf_abc", 0o640, "chmod 600"},
		{"pf_abc", 0o604, "chmod 600"},
		{"", 0o600, "holds no key"},
		{"pf_a\npf_b\n", 0o600, "holds no key"},
		{"secret", 0o600, "holds no key"},
	} {
		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte(c.text), c.mode); err != nil {
			t.Fatal(err)
		}
		key, err := KeyFile(path)()
		if c.want == "" && (err != nil || key != "pf_abc") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%q with mode %o: %q, %v", c.text, c.mode, key, err)
		}
	}
}

// The exchange of clocks is carried along per node. The first is one of its own, before
// any event; a node that tells no times is asked for them once.
func TestClockExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "one")
		w.nodes["one"].ahead = time.Hour
		w.set("one", always(reply{delay: 30 * time.Millisecond}))
		s, _ := open(t, w.config(t.TempDir()))
		running(t, s)
		time.Sleep(time.Minute)
		r := w.requests("one")
		t1 := r[0].at.UnixNano()
		hour := int64(time.Hour)
		expect(t, r[0].clock, fmt.Sprintf("%d,%d,%d,%d", t1, t1+hour, t1+hour, t1))
		expect(t, r[1].clock, fmt.Sprintf("%d,%d,%d,%d", t1, t1+hour, t1+hour+30e6, t1+30e6))
		if n := w.nodes["one"].clocks; n != 1 {
			t.Errorf("%d requests for the clock alone", n)
		}
	})
	for name, a := range map[string]reply{"down": {down: true}, "503": {status: 503}, "401": {status: 401}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one")
				w.nodes["one"].all = true
				w.set("one", always(a))
				s, _ := open(t, w.config(t.TempDir()))
				accept(t, s, "a")
				running(t, s)
				time.Sleep(time.Minute + time.Second)
				if a.down && (w.sent("one") != "" || w.nodes["one"].clocks < 2) {
					t.Errorf("events were sent to a node that is away: %s", w.sent("one"))
				}
				w.set("one", nil)
				time.Sleep(time.Minute)
				if r := w.requests("one"); len(r) == 0 || r[0].clock == "" {
					t.Errorf("it sent %s", w.sent("one"))
				}
			})
		})
	}
	for name, a := range map[string]reply{"mute": {}, "takes no empty request": {status: 400, problem: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "one")
				n := w.nodes["one"]
				n.mute, n.all = true, true
				w.set("one", func(r request) reply {
					if len(r.lines) == 0 {
						return a
					}
					return reply{}
				})
				s, _ := open(t, w.config(t.TempDir()))
				accept(t, s, "a")
				running(t, s)
				time.Sleep(30 * time.Second)
				expect(t, w.sent("one"), "a ♥ | ♥")
				if n.clocks != 1 || w.requests("one")[1].clock != "" {
					t.Errorf("it was asked for its clock %d times", n.clocks)
				}
			})
		})
	}
}

// An exchange may be old, and is of no use once the clock was set.
func TestClockWasSet(t *testing.T) {
	// now.Sub knows that the clock was set; a time that was read from a file would not.
	now := time.Now()
	x := exchange{t4: now.UnixNano(), at: now}
	later := now.Add(time.Hour)
	if !x.usable(later) {
		t.Error("an old exchange is refused")
	}
	x.t4 += int64(2 * time.Millisecond) // as if the clock had gone back by so much since
	if x.usable(later) || (&exchange{}).usable(later) {
		t.Error("an exchange of another clock is used")
	}
}

func TestConfig(t *testing.T) {
	good := newWorld(t, "one").config(t.TempDir())
	for want, change := range map[string]func(*Config){
		"Dir is empty":    func(c *Config) { c.Dir = "" },
		"Nodes is empty":  func(c *Config) { c.Nodes = nil },
		"Key is not set":  func(c *Config) { c.Key = nil },
		`"eu"`:            func(c *Config) { c.Nodes = []string{"eu"} },
		"without /v1/ev":  func(c *Config) { c.Nodes = []string{"https://eu/v1/events/"} },
		`"ftp://eu"`:      func(c *Config) { c.Nodes = []string{"ftp://eu"} },
		`"http://a:b@eu"`: func(c *Config) { c.Nodes = []string{"http://a:b@eu"} },
		"Patience is":     func(c *Config) { c.Patience = -1 },
		"than 3 segments": func(c *Config) { c.Quota = 1 },
		"largest payload": func(c *Config) { c.SegmentBytes = 1 },
	} {
		c := good
		change(&c)
		if _, err := Open(c, (&logs{}).logger()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
