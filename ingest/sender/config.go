package sender

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"photofinish/ingest/spool"
)

// Defaults of Config.
const (
	// DefaultHeartbeat keeps the watermark of an idle server within half a minute of its clock.
	DefaultHeartbeat = 20 * time.Second
	// DefaultPatience is a third of the silence after which a node stops waiting for a
	// server, so that the next node hears of it before that.
	DefaultPatience     = 5 * time.Minute
	DefaultSegmentBytes = 8 << 20
	DefaultQuota        = 1 << 30
)

// minSegments are the one that is written, one that is made ready, one that is sent.
const minSegments = 3

// Config says where events are kept and sent. Dir, Nodes and Key must be set.
type Config struct {
	// Dir is the folder of one sender. Two processes cannot have the same.
	Dir string
	// Nodes are the base addresses of ingest nodes, such as https://eu.example.net, in order
	// of preference.
	Nodes []string
	// Key returns the API key, which names server and region. It is asked before each
	// request, so that a person can replace a key without a restart; see KeyFile.
	Key func() (string, error)

	// Heartbeat is how often an idle sender says that it is there: DefaultHeartbeat. Negative:
	// it makes none, and passes on those that are given to Sender.Heartbeat; for a sender
	// whose events have instants that others give them.
	Heartbeat time.Duration
	// Patience is how long a node may take nothing before the next one is tried:
	// DefaultPatience. It must be well below the node's ingest.silent_after.
	Patience time.Duration
	// Quota bounds the bytes of the spool, and those of the refused events: DefaultQuota.
	Quota int64
	// SegmentBytes is the size of a file of the spool: DefaultSegmentBytes.
	SegmentBytes int64

	// Transport sends requests: a copy of http.DefaultTransport.
	Transport http.RoundTripper
	// Now is the clock of this machine: time.Now.
	Now func() time.Time

	// open opens the spool; tests put a disk with faults in its place.
	open func(Config, *slog.Logger) (disk, error)
}

// Check returns what is wrong with a configuration, or nil. It touches nothing.
func (c Config) Check() error {
	_, err := c.complete()
	return err
}

func (c Config) complete() (Config, error) {
	switch {
	case c.Dir == "":
		return c, errors.New("sender: Dir is empty; name the folder in which events are kept")
	case len(c.Nodes) == 0:
		return c, errors.New("sender: Nodes is empty; give the address of an ingest node")
	case c.Key == nil:
		return c, errors.New("sender: Key is not set; give the API key of this server")
	}
	nodes := make([]string, 0, len(c.Nodes))
	for _, node := range c.Nodes {
		u, err := url.Parse(node)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return c, fmt.Errorf("sender: node %q is not an address such as https://eu.example.net", node)
		}
		if strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1/events") {
			return c, fmt.Errorf("sender: node %q: give the address without /v1/events, which is added", node)
		}
		nodes = append(nodes, strings.TrimRight(u.String(), "/"))
	}
	c.Nodes = nodes
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.Patience = cmp.Or(c.Patience, DefaultPatience)
	c.Quota = cmp.Or(c.Quota, DefaultQuota)
	c.SegmentBytes = cmp.Or(c.SegmentBytes, DefaultSegmentBytes)
	switch {
	case c.Patience < 0:
		return c, fmt.Errorf("sender: Patience is %s, which is negative", c.Patience)
	case c.SegmentBytes < spool.MaxPayloadBytes:
		return c, fmt.Errorf("sender: SegmentBytes is %d, less than the largest payload of %d", c.SegmentBytes, spool.MaxPayloadBytes)
	case c.Quota < minSegments*c.SegmentBytes:
		return c, fmt.Errorf("sender: Quota is %d, less than %d segments of %d", c.Quota, minSegments, c.SegmentBytes)
	}
	if c.Transport == nil {
		if shared, ok := http.DefaultTransport.(*http.Transport); ok {
			c.Transport = shared.Clone()
		} else {
			c.Transport = http.DefaultTransport
		}
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the default of the parameter, for programs that have no other clock
	}
	if c.open == nil {
		c.open = openSpool
	}
	return c, nil
}
