package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"photofinish/cmd/photofinish/serve"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/sender"
)

const (
	pathEvents = "/v1/events"

	readTimeout    = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10

	// stopTimeout bounds the end: requests that are under way, then what can still be sent.
	stopTimeout = 5 * time.Second
)

// Sidecar takes events on a listener and has a sender send them.
type Sidecar struct {
	sender *sender.Sender
	server *http.Server
	log    *slog.Logger
}

// New returns a sidecar for the events of one game server, whose name is needed for
// CloudEvents alone: they give it as their source. It does nothing yet.
func New(s *sender.Sender, server string, log *slog.Logger) (*Sidecar, error) {
	h, err := httpapi.New(acceptor{s}, anyone{server}, log, httpapi.Config{Now: time.Now})
	if err != nil {
		return nil, err
	}
	api := http.NewServeMux()
	h.Mount(api)
	mux := http.NewServeMux()
	mux.Handle(pathEvents, local(api))
	mux.HandleFunc("/", h.NotFound)
	c := &Sidecar{sender: s, log: log}
	mux.HandleFunc("GET /healthz", c.health)
	mux.HandleFunc("GET /readyz", c.ready)
	c.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: stopTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return c, nil
}

// Run serves until ctx is done, sends what it can within stopTimeout, and returns nil.
// What is left is sent after the next start. The sender stays open.
func (c *Sidecar) Run(ctx context.Context, l net.Listener) error {
	sending, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { _ = c.sender.Run(sending) }) // it ends by stop alone
	serving := make(chan error, 1)
	running.Go(func() { serving <- c.server.Serve(l) })
	var err error
	select {
	case err = <-serving:
		err = fmt.Errorf("take events on %s: %w", l.Addr(), err)
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		if e := c.server.Shutdown(end); e != nil {
			c.log.WarnContext(ctx, "requests were cut off; their events are kept or not, and can be sent again", "err", e)
		}
		if c.sender.Flush(end) != nil {
			c.log.WarnContext(ctx, "not everything could be sent; it is kept and sent after the next start", "unsent", c.sender.Status().Unsent)
		}
	}
	stop()
	running.Wait()
	return err
}

// local refuses what a browser sends for a page that somebody else has made: no key keeps
// it out.
func local(next http.Handler) http.Handler {
	cross := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !serve.IsLocal(r.Host) {
			httpapi.WriteProblem(w, http.StatusMisdirectedRequest, "the sidecar is reached as localhost or by its address, and by no other name")
			return
		}
		if err := cross.Check(r); err != nil {
			httpapi.WriteProblem(w, http.StatusForbidden, err.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Listen opens the address of a sidecar, which must be on loopback.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	if !serve.IsLocal(address) {
		return nil, &AddressError{address}
	}
	return serve.Listen(ctx, address, "--listen", serve.Lingers)
}

// AddressError says that a sidecar cannot listen on an address that others can reach.
type AddressError struct{ Address string }

// Error names the address and what to give instead.
func (e *AddressError) Error() string {
	return fmt.Sprintf("listen on %q: the sidecar asks for no key, so it takes events on this machine alone; give an address such as 127.0.0.1:8090", e.Address)
}

// health is the state of each part.
type health struct {
	Status  string `json:"status"` // ok, or why a person should look
	Node    string `json:"node"`
	Unsent  uint64 `json:"unsent,string"`
	Refused uint64 `json:"refused,string"`
	Full    uint64 `json:"full,string"`
	Gone    uint64 `json:"gone,string"`
	Trouble string `json:"trouble,omitempty"`
	Disk    string `json:"disk,omitempty"`
}

func (c *Sidecar) health(w http.ResponseWriter, _ *http.Request) {
	s := c.sender.Status()
	h := health{"ok", s.Node, s.Unsent, s.Refused, s.Full, s.Gone, s.Trouble, s.Disk}
	if s.Trouble != "" || s.Disk != "" {
		h.Status = "trouble"
	}
	b, err := json.MarshalIndent(h, "", "  ")
	if err != nil { // numbers and texts: never
		b = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(b, '\n')) // a client that has gone needs no answer
}

func (c *Sidecar) ready(w http.ResponseWriter, _ *http.Request) {
	if s := c.sender.Status(); s.Disk != "" {
		httpapi.WriteProblem(w, http.StatusServiceUnavailable, "events cannot be kept: "+s.Disk)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ready\n")) // a client that has gone needs no answer
}
