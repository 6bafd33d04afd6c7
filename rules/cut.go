package rules

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// CutKind says what a cut is for.
type CutKind string

// The kinds of cut.
const (
	HourCut  CutKind = "hour"  // closes a period
	LateCut  CutKind = "late"  // keeps Through and takes in late evidence
	SmallCut CutKind = "small" // keeps Through and takes in receipts and what waits for nothing
)

// Cut is the recorded bound of what one settlement may read, and every time that
// its decisions depend on. An event is in the cut if its node's line reads as far
// as its offset and its corrected instant is before Through. Once recorded a cut
// never changes.
type Cut struct {
	Number  uint64  `json:"number"` // from 1, without holes
	Kind    CutKind `json:"kind"`
	Through Instant `json:"through"`
	// AsOf is the only "now" that a decision reads: a hold or a term for corrections
	// is over when AsOf has come to its end.
	AsOf Instant `json:"as_of"`
	// Complete says that nobody is waited for: the log before Through is taken as all
	// there is.
	Complete bool   `json:"complete"`
	Ruleset  string `json:"ruleset"`  // digest
	Previous string `json:"previous"` // ID of the settled entry of the cut before; "" before the first
	// ClosedAt is the store's clock, never before the previous cut's. Only deadlines of
	// money read it.
	ClosedAt Instant     `json:"closed_at"`
	Receipts []Partition `json:"receipts"` // how far the receipts are read; by partition
	Effects  bool        `json:"effects"`  // what it decides is sent; otherwise it is a record
	Nodes    []NodeLine  `json:"nodes"`    // by node

	record string // digest of the record where the cut is Without some of it; "": it is the record
	gone   []Loss
}

// Without returns the cut as it is settled where nodes have published some of its offsets
// as lost after it was recorded: those are skipped for good, whether their rows turn up
// or not. It keeps the digest of the record. Without losses it is the cut.
func (c Cut) Without(losses []Loss) Cut {
	if len(losses) == 0 {
		return c
	}
	c.record, c.gone = c.Digest(), losses
	c.Nodes = slices.Clone(c.Nodes)
	for i := range c.Nodes {
		l := &c.Nodes[i]
		for _, loss := range losses {
			if loss.Node == l.Node {
				l.Lost = Join(l.Lost, []Span{loss.Span})
			}
		}
	}
	return c
}

// Losses returns what the cut is without, by node and offset.
func (c *Cut) Losses() []Loss { return c.gone }

// Losses returns what of the line's offsets beyond the cut before the node has published as
// lost since the line was recorded. Only what is lost is skipped for good. Offsets that a
// recorded line reads were acknowledged: their node does not make them void afterwards, and
// if it says so all the same, the cut waits for their rows.
func (l *NodeLine) Losses(previous *Cut, published []Span) []Loss {
	var losses []Loss
	known := Join(l.Lost, l.Void)
	for _, s := range Join(nil, published) {
		next := max(s.First, previous.Offset(l.Node)+1)
		end := min(s.Last, l.Offset)
		for _, k := range known {
			if next > end || k.Last < next {
				continue
			}
			if next < k.First {
				losses = append(losses, Loss{l.Node, Span{next, min(end, k.First-1)}})
			}
			next = k.Last + 1
		}
		if next <= end {
			losses = append(losses, Loss{l.Node, Span{next, end}})
		}
	}
	return losses
}

// Join returns the offsets of both in order, each once, in as few spans as they need.
func Join(a, b []Span) []Span {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b Span) int { return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last)) })
	joined := []Span{}
	for _, s := range all {
		if n := len(joined); n > 0 && s.First <= joined[n-1].Last+1 {
			joined[n-1].Last = max(joined[n-1].Last, s.Last)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

// Partition is how far one partition of receipts is read.
type Partition struct {
	Partition string `json:"partition"`
	Offset    uint64 `json:"offset,string"` // the last one that is in
}

// NodeState says whether a cut waits for a node.
type NodeState string

// The states of a node in a cut.
const (
	NodeLive    NodeState = "live"
	NodeExcused NodeState = "excused" // it has not spoken for so long that nobody waits for it
	NodeRetired NodeState = "retired" // a person said so, and it has sent no event since
)

// NodeLine is what a cut knows of one node: how far its partition is read, and
// what it has promised. Watermarks are as the node published them, cut down where
// it has not spoken lately.
type NodeLine struct {
	Node      string  `json:"node"`
	Published uint64  `json:"published,string"` // running number of the row of progress
	Offset    uint64  `json:"offset,string"`    // the last one that is in; 0: none
	Watermark Instant `json:"watermark"`        // every event with a later offset has its earliest at or after this
	// Regions are the watermarks of single regions, by region. A region that is not
	// named has the watermark Others; with Others 0 it does not wait for this node.
	Regions []RegionMark   `json:"regions"`
	Others  Instant        `json:"others,omitzero"`
	State   NodeState      `json:"state"`
	Since   Instant        `json:"since"`            // when the node last spoke, by its own clock
	Silent  []SilentServer `json:"silent"`           // servers that it no longer waits for, by name
	Lost    []Span         `json:"lost"`             // offsets that it has published as lost: skipped for good
	Void    []Span         `json:"void"`             // offsets in which nothing was acknowledged: skipped
	Unused  []Unused       `json:"unused,omitempty"` // running numbers that servers gave to no event, by server and number
}

// RegionMark is the watermark of one region's servers.
type RegionMark struct {
	Region    string  `json:"region"`
	Watermark Instant `json:"watermark"`
}

// SilentServer is a server that has not been heard of for too long to be waited for.
type SilentServer struct {
	Server    string  `json:"server"`
	Watermark Instant `json:"watermark"` // it has told of everything before
	Since     Instant `json:"since"`     // when it was last heard, by the node's clock
}

// Span is a range of offsets, both ends included.
type Span struct {
	First uint64 `json:"first,string"`
	Last  uint64 `json:"last,string"`
}

// Line returns the cut's line of a node, or nil.
func (c *Cut) Line(node string) *NodeLine {
	i, ok := slices.BinarySearchFunc(c.Nodes, node, func(n NodeLine, name string) int { return cmp.Compare(n.Node, name) })
	if !ok {
		return nil
	}
	return &c.Nodes[i]
}

// Offset returns how far the cut reads the node; 0 is not at all.
func (c *Cut) Offset(node string) uint64 {
	if l := c.Line(node); l != nil {
		return l.Offset
	}
	return 0
}

// Within reports whether a row lies within the cut's offsets, whatever its time.
func (c *Cut) Within(node string, offset uint64) bool {
	l := c.Line(node)
	return l != nil && offset <= l.Offset && !inSpans(l.Lost, offset) && !inSpans(l.Void, offset)
}

// Holds reports whether a record is in the cut. A cut without a number holds nothing.
func (c *Cut) Holds(node string, offset uint64, i Instant) bool {
	return c.Number > 0 && i < c.Through && c.Within(node, offset)
}

func inSpans(spans []Span, offset uint64) bool {
	return slices.ContainsFunc(spans, func(s Span) bool { return s.First <= offset && offset <= s.Last })
}

// Digest returns a digest of the whole record: "sha256:" and hex.
func (c *Cut) Digest() string {
	if c.record != "" {
		return c.record
	}
	body, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("rules: cut %d is not JSON: %v", c.Number, err)) // the types above cannot fail
	}
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Unseen returns the first instant at which an event of the scope may have happened that
// the cut's lines do not read: the least watermark that the scope waits for; Never where
// nobody is waited for. A server's scope waits for what the regions wait for that its
// events name, which regions are; other scopes do not read them.
func (c *Cut) Unseen(scope Scope, regions []string) Instant {
	unseen := Never
	for _, w := range c.waited(scope, regions) {
		unseen = min(unseen, w.mark)
	}
	return unseen
}

// waited is a live node's promise for a scope.
type waited struct {
	line   *NodeLine
	region string // "" : of the whole node
	mark   Instant
}

func (c *Cut) waited(scope Scope, regions []string) []waited {
	if c.Complete {
		return nil
	}
	if name, ok := scope.Region(); ok {
		regions = []string{name}
	} else if _, ok := scope.Server(); !ok || len(regions) == 0 {
		regions = nil
	}
	var all []waited
	for i := range c.Nodes {
		l := &c.Nodes[i]
		if l.State != NodeLive {
			continue
		}
		if regions == nil {
			all = append(all, waited{l, "", l.Watermark})
		}
		for _, region := range regions {
			if mark, ok := l.of(region); ok {
				all = append(all, waited{l, region, mark})
			}
		}
	}
	return all
}

// of returns the line's watermark for a region; false if it need not be waited for.
func (l *NodeLine) of(region string) (Instant, bool) {
	for _, r := range l.Regions {
		if r.Region == region {
			return r.Watermark, true
		}
	}
	return l.Others, l.Others != 0
}

// WaitsFor names the live nodes whose watermark for the scope has not passed the
// instant, by node and region.
func (c *Cut) WaitsFor(scope Scope, regions []string, until Instant) []Lag {
	var lags []Lag
	for _, w := range c.waited(scope, regions) {
		if w.mark <= until {
			lags = append(lags, Lag{Node: w.line.Node, Region: w.region, Since: w.line.Since})
		}
	}
	return lags
}

// Lag says who has not yet told of everything before an instant.
type Lag struct {
	Node   string  `json:"node"`
	Region string  `json:"region,omitempty"` // "": every region of the node
	Server string  `json:"server,omitempty"` // "": the node itself
	Since  Instant `json:"since"`            // when it last spoke
}

// Lagging returns the live nodes whose watermark is before Through, and the servers
// that nodes no longer wait for, by node, region and server.
func (c *Cut) Lagging() []Lag {
	lags := []Lag{}
	for i := range c.Nodes {
		l := &c.Nodes[i]
		if l.State == NodeLive && l.Watermark < c.Through {
			named := false
			for _, r := range l.Regions {
				if r.Watermark < c.Through {
					lags, named = append(lags, Lag{Node: l.Node, Region: r.Region, Since: l.Since}), true
				}
			}
			if !named {
				lags = append(lags, Lag{Node: l.Node, Since: l.Since})
			}
		}
		for _, s := range l.Silent {
			lags = append(lags, Lag{Node: l.Node, Server: s.Server, Since: s.Since})
		}
	}
	return lags
}

// Moment is the cut that decides, and what was final before it.
type Moment struct {
	Cut *Cut
	// Previous is the hour or late cut before: what was final as of it is never changed.
	// Nil, or a cut without a number: there is none.
	Previous *Cut
}

// first reports whether there is no cut before.
func (m Moment) first() bool { return m.Previous == nil || m.Previous.Number == 0 }

// known reports whether the record was there for the same rules before: the cut before
// held it, and was settled by the ruleset of this one.
func (m Moment) known(rec *Record) bool {
	return !m.first() && m.Previous.Ruleset == m.Cut.Ruleset && m.Previous.Holds(rec.Node, rec.Offset, rec.Instant)
}

// final reports whether what becomes final at the instant was final before the cut.
func (m Moment) final(at Instant) bool { return !m.first() && at <= m.Previous.AsOf }

// over reports whether the instant has passed as of the cut.
func (m Moment) over(at Instant) bool { return at <= m.Cut.AsOf }

// Scope is one set of winners: "world", "region:NAME" or "server:NAME".
type Scope string

// World is the scope of a rule that has one set of winners.
const World Scope = ScopeWorld

// Region returns the name of a region's scope.
func (s Scope) Region() (string, bool) { return strings.CutPrefix(string(s), ScopeRegion+":") }

// Server returns the name of a server's scope.
func (s Scope) Server() (string, bool) { return strings.CutPrefix(string(s), ScopeServer+":") }

// Kind returns what a rule calls such scopes.
func (s Scope) Kind() string {
	kind, _, _ := strings.Cut(string(s), ":")
	return kind
}
