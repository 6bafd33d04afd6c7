package audit

import (
	"time"

	"photofinish/announce"
	"photofinish/rules"
)

// World is what truly happened in a world, and what was printed of it.
type World struct {
	Events  []*Event // all that were made
	Faults  Faults
	Ruleset *rules.Ruleset // the demo's: the checks know its rules by name

	Begins  rules.Instant
	Hours   int               // it lasts
	Regions []string          // in a stable order
	Cuts    uint64            // settled
	Reports []announce.Report // of each hour, as printed
}

// ends returns when the world is over.
func (w *World) ends() rules.Instant { return w.Begins.Add(time.Duration(w.Hours) * time.Hour) }

// Event is an event as it truly happened, and what the network made of it.
type Event struct {
	rules.Event               // with At by the server's clock
	Happened    rules.Instant // when it happened
	Bad         string        // why it must be refused; empty: it is a good one
	Rival       bool          // other content under the ID of an earlier event: must not count

	Sent         bool // in a request, whatever became of that
	Acknowledged bool // by an answer that its server got
	Refused      bool
	Cut          uint64 // the first cut that could read it; 0: it is not in the log
	ErrNs        int64  // the greatest error of a clock estimate that it was sent with
}

// Faults counts what went wrong in a world.
type Faults struct {
	Requests          int `json:"requests"`                  // that servers made, each over a connection of its own
	AnswersLost       int `json:"answers_lost"`              // all or half of one, to a request that the node took
	RequestsCut       int `json:"requests_cut"`              // on their way there
	RequestsLate      int `json:"requests_late"`             // came behind their copies
	Retries           int `json:"batches_sent_again"`        // to the same node
	Failovers         int `json:"batches_sent_to_two_nodes"` //
	Strays            int `json:"batches_delivered_late"`    // after later ones
	Shuffled          int `json:"batches_out_of_order"`      // within themselves
	Buffered          int `json:"events_kept_while_cut_off"`
	ForwardsMissed    int `json:"forwards_missed"`
	NodeCrashes       int `json:"node_crashes"`
	SettlerCrashes    int `json:"settler_crashes"`
	SettlerRaces      int `json:"settler_races"`
	DuplicatesRefused int `json:"duplicates_found_on_arrival"` // by the nodes; others get into the log
}
