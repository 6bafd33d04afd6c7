package hour_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"photofinish/rules"
	"photofinish/rules/hour"
)

// memory is a merged log in memory.
type memory struct {
	rows  []rules.Record
	holes map[string][]rules.Span
}

func (m *memory) within(lines []rules.NodeLine) []rules.Record {
	cut := rules.Cut{Nodes: lines}
	var in []rules.Record
	for _, r := range m.rows {
		if cut.Within(r.Node, r.Offset) {
			in = append(in, r)
		}
	}
	return in
}

func (m *memory) First(lines []rules.NodeLine) (rules.Instant, bool, error) {
	first := rules.Never
	for _, r := range m.within(lines) {
		first = min(first, r.Instant)
	}
	return first, first != rules.Never, nil
}

func (m *memory) Busy(lines []rules.NodeLine, from, to rules.Instant, period time.Duration) ([]rules.Instant, error) {
	var busy []rules.Instant
	for _, r := range m.within(lines) {
		if r.Instant >= from && r.Instant < to {
			busy = append(busy, r.Instant-r.Instant%rules.Instant(period))
		}
	}
	slices.Sort(busy)
	return slices.Compact(busy), nil
}

func (m *memory) Late(last *rules.Cut, lines []rules.NodeLine) (bool, error) {
	known := map[rules.Identity]bool{}
	for _, r := range m.rows {
		if last.Holds(r.Node, r.Offset, r.Instant) {
			known[r.Identity()] = true
		}
	}
	return slices.ContainsFunc(m.within(lines), func(r rules.Record) bool {
		return r.Instant < last.Through && !known[r.Identity()]
	}), nil
}

func (m *memory) Hole(node string, after, upTo uint64, skip []rules.Span) (rules.Span, bool, error) {
	for _, h := range m.holes[node] {
		if h.First > after && h.First <= upTo && !slices.Contains(skip, h) {
			return rules.Span{First: h.First, Last: min(h.Last, upTo)}, true, nil
		}
	}
	return rules.Span{}, false, nil
}

// clock reads "10:02" or "10:02:30", on a day from 0.
func clock(day int, text string) rules.Instant {
	t, err := time.Parse("15:04:05", (text + ":00")[:8])
	if err != nil {
		panic(err)
	}
	d := time.Date(2026, 6, 1+day, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
	return rules.Instant(d.UnixNano())
}

func at(text string) rules.Instant { return clock(0, text) }

func event(node string, offset uint64, id string, i rules.Instant) rules.Record {
	r := rules.Record{Node: node, Offset: offset, Instant: i, Earliest: i, Latest: i}
	r.Event = rules.Event{Server: node + "-1", Region: node, ID: id, Type: rules.TypeKill, At: i, Player: id, Count: 1}
	return r
}

func row(node string, published, offset uint64, mark, said rules.Instant) hour.Row {
	return hour.Row{Node: node, Published: published, Offset: offset, Watermark: mark, At: said}
}

// run settles whatever is due and returns it as "kind through/as_of".
func run(t *testing.T, cuts *[]rules.Cut, now hour.Now, progress hour.Progress, log *memory) []string {
	t.Helper()
	var said []string
	for range 200 {
		last := hour.Last{}
		if n := len(*cuts); n > 0 {
			last = hour.Last{Cut: (*cuts)[n-1], SettledID: fmt.Sprint(n)}
		}
		plan, err := hour.Config{}.Next(now, last, progress, log, now.T, "rules")
		if err != nil {
			t.Fatal(err)
		}
		if plan.Cut == nil {
			return said
		}
		*cuts = append(*cuts, *plan.Cut)
		c := plan.Cut
		said = append(said, fmt.Sprintf("%s %s/%s", c.Kind, c.Through.Time().Format("2 15:04"), c.AsOf.Time().Format("2 15:04:05")))
	}
	t.Fatal("the plan does not end")
	return nil
}

func hours(from, to int) []string {
	var all []string
	for h := from; h <= to; h++ {
		all = append(all, fmt.Sprintf("hour 1 %02d:00/1 %02d:02:00", h, h))
	}
	return all
}

// The cases of the hour that are the plan's: what is due when, and as of when. The
// numbers are those of the table in which the hour was first written down; the others
// are about what is decided and stand among the scenarios.
func TestCases(t *testing.T) {
	ten := hour.Progress{Rows: []hour.Row{row("eu", 1, 1, at("09:59"), at("10:04"))}}
	late := hour.Progress{Rows: []hour.Row{row("eu", 9, 1, at("14:03"), at("14:04"))}}
	seven := []rules.Record{event("eu", 1, "1", at("07:10"))}
	old := append(slices.Clone(seven), event("eu", 2, "2", at("08:40")))
	copied := append(slices.Clone(seven), event("eu", 2, "1", at("07:10")))
	wed := append(slices.Clone(seven), event("eu", 2, "2", clock(2, "15:20")))
	line := rules.NodeLine{Node: "eu", Published: 1, Offset: 1, Watermark: at("08:59"), State: rules.NodeLive, Since: at("10:04")}
	nine := rules.Cut{Number: 1, Kind: rules.HourCut, Through: at("09:00"), AsOf: at("09:02"), Nodes: []rules.NodeLine{line}}
	tenth := nine
	tenth.Number, tenth.Through, tenth.AsOf = 2, at("10:00"), at("10:02")
	second := func(said rules.Instant) hour.Progress {
		return hour.Progress{Rows: []hour.Row{row("eu", 2, 2, at("10:00"), said)}}
	}
	thursday := append(days(2, 15, 23), append(days(3, 0, 9), "hour 4 10:00/4 10:02:00")...)
	for _, test := range []struct {
		number   string
		from     []rules.Cut
		now      hour.Now
		progress hour.Progress
		log      []rules.Record
		want     []string
	}{
		{"1", nil, hour.Now{T: at("10:05")}, hour.Progress{}, nil, nil},
		{"2", nil, hour.Now{T: at("10:05")}, ten, seven, hours(8, 10)},
		{"3 too early", []rules.Cut{nine}, hour.Now{T: at("10:01")}, ten, seven, nil},
		{"3", []rules.Cut{nine}, hour.Now{T: at("10:02")}, ten, seven, hours(10, 10)},
		{"4", []rules.Cut{nine}, hour.Now{Mode: hour.At, T: at("10:00:01")}, ten, seven, []string{"hour 1 10:00/1 10:00:01"}},
		{"4 too early", []rules.Cut{nine}, hour.Now{Mode: hour.At, T: at("09:59:59")}, ten, seven, nil},
		{"5", []rules.Cut{nine}, hour.Now{T: at("14:05")}, late, seven, hours(10, 14)},
		{"6", []rules.Cut{nine}, hour.Now{Mode: hour.At, T: at("11:30")}, late, seven, hours(10, 11)},
		{"8", []rules.Cut{nine, tenth}, hour.Now{T: at("09:20")}, ten, seven, nil},
		{"8 late evidence", []rules.Cut{nine, tenth}, hour.Now{T: at("09:20")}, second(at("09:19")), old, []string{"late 1 10:00/1 10:02:00"}},
		{"10", []rules.Cut{nine, tenth}, hour.Now{T: at("10:40")}, second(at("10:39")), old, []string{"late 1 10:00/1 10:40:00"}},
		{"10 a copy", []rules.Cut{nine, tenth}, hour.Now{T: at("10:40")}, second(at("10:39")), copied, nil},
		{"11 and 37", []rules.Cut{nine, tenth}, hour.Now{T: at("10:40")}, ten, seven, nil},
		{"12", []rules.Cut{nine}, hour.Now{T: clock(3, "10:05")}, second(clock(3, "10:04")), wed, thursday},
		{"31", nil, hour.Now{Mode: hour.Through, T: at("09:30")}, ten, seven, []string{"hour 1 08:00/1 08:00:00", "hour 1 09:00/1 09:00:00", "hour 1 09:30/1 09:30:00"}},
	} {
		t.Run(test.number, func(t *testing.T) {
			cuts := slices.Clone(test.from)
			if got := run(t, &cuts, test.now, test.progress, &memory{rows: test.log}); !slices.Equal(got, test.want) {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
			for i, c := range cuts[len(test.from):] {
				if c.Number != uint64(len(test.from)+i+1) || c.Complete != (test.now.Mode == hour.Through) {
					t.Errorf("cut %+v", c)
				}
			}
		})
	}
}

func days(day, from, to int) []string {
	var all []string
	for h := from; h <= to; h++ {
		all = append(all, fmt.Sprintf("hour %d %02d:00/%d %02d:02:00", day+1, h, day+1, h))
	}
	return all
}

// Case 6: after --at the schedule goes on, and what was made up is what runs on time
// would have recorded.
func TestScheduleGoesOnAfterAt(t *testing.T) {
	late := hour.Progress{Rows: []hour.Row{row("eu", 9, 1, at("14:03"), at("14:04"))}}
	log := &memory{rows: []rules.Record{event("eu", 1, "1", at("07:10"))}}
	var atFirst, scheduled []rules.Cut
	run(t, &atFirst, hour.Now{Mode: hour.At, T: at("11:30")}, late, log)
	run(t, &atFirst, hour.Now{T: at("14:05")}, late, log)
	run(t, &scheduled, hour.Now{T: at("14:05")}, late, log)
	if len(scheduled) != 7 || len(atFirst) != len(scheduled) {
		t.Fatalf("%d and %d cuts", len(atFirst), len(scheduled))
	}
	for i := range scheduled {
		a, b := atFirst[i], scheduled[i]
		a.ClosedAt, b.ClosedAt = 0, 0
		if a.Through != b.Through || a.AsOf != b.AsOf || a.Nodes[0].Offset != b.Nodes[0].Offset {
			t.Errorf("%+v\n%+v", a, b)
		}
	}
}

// Case 9: a clock years ahead counts for a day after the newest row, with a warning
// that names both.
func TestClockAlone(t *testing.T) {
	progress := hour.Progress{Rows: []hour.Row{row("eu", 2, 1, at("10:00"), at("10:03"))}}
	log := &memory{rows: []rules.Record{event("eu", 1, "1", at("07:10"))}}
	plan, err := hour.Config{}.Next(hour.Now{T: clock(3650, "00:00")}, hour.Last{}, progress, log, 0, "")
	if err != nil || len(plan.Warnings) != 1 {
		t.Fatal(plan, err)
	}
	var cuts []rules.Cut
	run(t, &cuts, hour.Now{T: clock(3650, "00:00")}, progress, log)
	if last := cuts[len(cuts)-1]; last.Through != clock(1, "10:00") {
		t.Errorf("settled through %s", last.Through)
	}
}

// Cases 13 and 14: a recorded cut is settled as it is; and a line that another settler
// read from a later row stays.
func TestResumeAndLaterNews(t *testing.T) {
	recorded := rules.Cut{Number: 7, Kind: rules.HourCut, Through: at("10:00"), AsOf: at("10:02"), Nodes: []rules.NodeLine{
		{Node: "eu", Published: 500, Offset: 5, Watermark: at("09:59"), State: rules.NodeLive, Since: at("10:01")},
	}}
	log := &memory{}
	progress := hour.Progress{Rows: []hour.Row{row("eu", 480, 1, at("11:00"), at("11:04"))}}
	plan, err := hour.Config{}.Next(hour.Now{T: at("11:05")}, hour.Last{Cut: recorded, Unsettled: true}, progress, log, 0, "")
	if err != nil || !plan.Resume || plan.Cut.Number != 7 {
		t.Fatal(plan, err)
	}
	plan, err = hour.Config{}.Next(hour.Now{T: at("11:05")}, hour.Last{Cut: recorded, SettledID: "x"}, progress, log, 0, "")
	if err != nil || plan.Cut == nil {
		t.Fatal(plan, err)
	}
	if l := plan.Cut.Nodes[0]; l.Published != 500 || l.Offset != 5 || plan.Cut.Previous != "x" || plan.Cut.Number != 8 {
		t.Errorf("%+v", plan.Cut)
	}
}

// Cases 16, 22, 24, 25 and 26: what a line says of a node that is fresh, stale, silent
// for a day, retired, retired and back, or new.
func TestLines(t *testing.T) {
	hourAgo := at("00:00")
	regions := []rules.RegionMark{{Region: "us", Watermark: at("00:38")}}
	for _, test := range []struct {
		name    string
		row     hour.Row
		retired []hour.Retirement
		t       rules.Instant
		mark    rules.Instant
		region  rules.Instant
		others  rules.Instant
		state   rules.NodeState
	}{
		{"fresh", hour.Row{At: at("00:59"), Watermark: at("00:15"), Regions: regions}, nil, at("01:00"), at("00:15"), at("00:38"), 0, rules.NodeLive},
		{"stale", hour.Row{At: at("00:38"), Watermark: at("00:38"), Regions: regions}, nil, at("01:00"), at("00:23"), at("00:23"), at("00:23"), rules.NodeLive},
		{"two beats", hour.Row{At: at("00:58"), Watermark: at("00:38"), Regions: regions}, nil, at("01:00"), at("00:38"), at("00:38"), 0, rules.NodeLive},
		{"excused", hour.Row{At: hourAgo, Watermark: hourAgo, Regions: regions}, nil, clock(1, "00:01"), clock(-1, "23:45"), clock(-1, "23:45"), clock(-1, "23:45"), rules.NodeExcused},
		{"a day exactly", hour.Row{At: hourAgo, Watermark: hourAgo, Regions: regions}, nil, clock(1, "00:00"), clock(-1, "23:45"), clock(-1, "23:45"), clock(-1, "23:45"), rules.NodeLive},
		{"retired", hour.Row{At: at("00:59"), Offset: 3, Watermark: at("00:15"), Regions: regions}, []hour.Retirement{{Node: "us", Offset: 3}}, at("01:00"), at("00:15"), at("00:38"), 0, rules.NodeRetired},
		{"back", hour.Row{At: at("00:59"), Offset: 4, Watermark: at("00:15"), Regions: regions}, []hour.Retirement{{Node: "us", Offset: 3}}, at("01:00"), at("00:15"), at("00:38"), 0, rules.NodeLive},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.row.Node, test.row.Published = "us", 1
			fresh := row("eu", 1, 1, test.t, test.t)
			log := &memory{rows: []rules.Record{event("eu", 1, "1", clock(-2, "00:30"))}}
			plan, err := hour.Config{}.Next(hour.Now{Mode: hour.Through, T: test.t}, hour.Last{}, hour.Progress{Rows: []hour.Row{fresh, test.row}, Retired: test.retired}, log, 0, "")
			if err != nil || plan.Cut == nil {
				t.Fatal(plan, err)
			}
			l := plan.Cut.Line("us")
			if l.Watermark != test.mark || l.Regions[0].Watermark != test.region || l.Others != test.others || l.State != test.state {
				t.Errorf("%+v", l)
			}
		})
	}
}

// Case 35: a line ends before the first hole, with the watermark of the row that lies
// before it; healed, or published lost, it goes on.
func TestHole(t *testing.T) {
	nine, twenty := row("us", 9, 9, at("00:15"), at("00:16")), row("us", 20, 20, at("00:50"), at("00:59"))
	log := &memory{holes: map[string][]rules.Span{"us": {{First: 10, Last: 11}}}}
	for i := range 20 {
		if i != 9 && i != 10 {
			log.rows = append(log.rows, event("us", uint64(i+1), fmt.Sprint(i), at("00:01")))
		}
	}
	next := func(rows ...hour.Row) hour.Plan {
		plan, err := hour.Config{}.Next(hour.Now{Mode: hour.At, T: at("01:00")}, hour.Last{}, hour.Progress{Rows: rows}, log, 0, "")
		if err != nil || plan.Cut == nil {
			t.Fatal(plan, err)
		}
		return plan
	}
	plan := next(nine, twenty)
	if l := plan.Cut.Nodes[0]; l.Offset != 9 || l.Watermark != at("00:15") || len(plan.Warnings) != 1 {
		t.Errorf("%+v %q", l, plan.Warnings)
	}
	lost := twenty
	lost.Lost = []rules.Span{{First: 10, Last: 11}}
	plan = next(nine, lost)
	if l := plan.Cut.Nodes[0]; l.Offset != 20 || l.Watermark != at("00:50") || len(l.Lost) != 1 {
		t.Errorf("%+v", l)
	}
	// What is lost stays lost where the row that said so was forgotten.
	last := hour.Last{Cut: *plan.Cut, SettledID: "sha256:1"}
	last.Cut.Nodes[0].Published = twenty.Published
	later, err := hour.Config{}.Next(hour.Now{Mode: hour.At, T: at("02:00")}, last, hour.Progress{Rows: []hour.Row{nine, twenty}}, log, 0, "")
	if err != nil || later.Cut == nil || !slices.Equal(later.Cut.Nodes[0].Lost, lost.Lost) {
		t.Errorf("%+v, %v", later.Cut, err)
	}
	log.holes = nil
	if l := next(nine, twenty).Cut.Nodes[0]; l.Offset != 20 || l.Watermark != at("00:50") {
		t.Errorf("%+v", l)
	}
}

// A row that was counted under another life of the engine is not believed until it
// was counted anew, or its node is excused: the last line stays, and a node without one has
// none.
func TestLife(t *testing.T) {
	r := row("us", 2, 5, at("00:50"), at("00:59"))
	r.Life = "before"
	log := &memory{rows: []rules.Record{event("us", 1, "1", at("00:10")), event("eu", 1, "2", at("00:10"))}}
	line := rules.NodeLine{Node: "us", Published: 1, Offset: 1, Watermark: at("00:15"), State: rules.NodeLive, Since: at("00:59")}
	for _, test := range []struct {
		name   string
		lives  []string
		last   []rules.NodeLine
		later  time.Duration
		offset uint64 // of the line; 0: there is none
		state  rules.NodeState
		warned bool
	}{
		{"another", []string{"now"}, []rules.NodeLine{line}, 0, 1, rules.NodeLive, true},
		{"one of those", []string{"before", "now"}, []rules.NodeLine{line}, 0, 5, rules.NodeLive, false},
		{"nobody looks", nil, []rules.NodeLine{line}, 0, 5, rules.NodeLive, false},
		{"nobody has counted", []string{}, []rules.NodeLine{line}, 0, 1, rules.NodeLive, true},
		{"no line", []string{"now"}, nil, 0, 0, "", true},
		{"still waited for", []string{"now"}, []rules.NodeLine{line}, 23 * time.Hour, 1, rules.NodeLive, true},
		{"excused", []string{"now"}, []rules.NodeLine{line}, 24 * time.Hour, 5, rules.NodeExcused, false},
		{"excused, no line", []string{"now"}, nil, 24 * time.Hour, 5, rules.NodeExcused, false},
	} {
		fresh := row("eu", 1, 1, at("00:59").Add(test.later), at("00:59").Add(test.later))
		last := rules.Cut{Number: 1, Through: at("00:00"), AsOf: at("00:00"), Nodes: test.last}
		progress := hour.Progress{Rows: []hour.Row{fresh, r}, Lives: test.lives}
		plan, err := hour.Config{}.Next(hour.Now{Mode: hour.At, T: at("01:00").Add(test.later)}, hour.Last{Cut: last, SettledID: "x"}, progress, log, 0, "")
		if err != nil || plan.Cut == nil {
			t.Fatal(test.name, plan, err)
		}
		var got rules.NodeLine
		if l := plan.Cut.Line("us"); l != nil {
			got = *l
		}
		if got.Offset != test.offset || got.State != test.state || (len(plan.Warnings) > 0) != test.warned {
			t.Errorf("%s: %+v %q", test.name, got, plan.Warnings)
		}
	}
}

// A node whose spool is gone cannot count anew, and where no other one speaks, or the time
// asked for is past, it is never excused: once a person retires it, what is there is read.
func TestLifeOfARetiredNode(t *testing.T) {
	r := row("us", 2, 5, at("00:50"), at("00:59"))
	r.Life = "before"
	log := &memory{rows: []rules.Record{event("us", 1, "1", at("00:10"))}}
	for offset, read := range map[uint64]bool{4: false, 5: true} {
		progress := hour.Progress{Rows: []hour.Row{r}, Lives: []string{"now"}, Retired: []hour.Retirement{{Node: "us", Offset: offset}}}
		plan, err := hour.Config{}.Next(hour.Now{Mode: hour.Through, T: at("01:00")}, hour.Last{}, progress, log, 0, "")
		if err != nil || (plan.Cut != nil) != read {
			t.Fatalf("retired at %d: %+v, %v", offset, plan, err)
		}
		if read && (plan.Cut.Nodes[0].Offset != 5 || plan.Cut.Nodes[0].State != rules.NodeRetired) {
			t.Errorf("%+v", plan.Cut.Nodes[0])
		}
	}
}

// What a cut left over, or drew no lot for yet, is due at once: as of the same, or now.
func TestAgain(t *testing.T) {
	last := rules.Cut{Number: 1, Through: at("10:00"), AsOf: at("10:02")}
	progress := hour.Progress{Rows: []hour.Row{row("eu", 1, 1, at("10:30"), at("10:30"))}}
	for again, want := range map[rules.Again]rules.Instant{rules.AgainDraw: at("10:30"), rules.AgainRest: at("10:02"), "": 0} {
		plan, err := hour.Config{}.Next(hour.Now{T: at("10:30")}, hour.Last{Cut: last, Again: again}, progress, &memory{}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			if plan.Cut != nil {
				t.Errorf("%+v", plan.Cut)
			}
			continue
		}
		if plan.Cut == nil || plan.Cut.Kind != rules.LateCut || plan.Cut.AsOf != want || plan.Cut.Through != last.Through {
			t.Errorf("%s: %+v", again, plan.Cut)
		}
	}
}
