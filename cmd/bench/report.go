package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// report prints the figures as they come.
type report struct {
	w    io.Writer
	over int
}

// section begins a table.
func (r *report) section(title string) {
	fmt.Fprintf(r.w, "\n%s\n%-62s %13s %13s %8s %7s\n", title, "", "ours", "floor", "ratio", "limit")
}

// note prints a line of words.
func (r *report) note(format string, args ...any) { fmt.Fprintf(r.w, format+"\n", args...) }

// line prints one figure beside its floor, and whether their ratio keeps to a limit;
// 0 is none.
func (r *report) line(what, ours, floor string, ratio, limit float64) {
	verdict := ""
	if limit > 0 {
		verdict = r.verdict(ratio <= limit)
	}
	fmt.Fprintf(r.w, "%-62s %13s %13s %8s %7s %s\n", what, ours, floor, times(ratio), times(limit), verdict)
}

// atLeast prints one figure beside another, and whether their ratio reaches a limit.
func (r *report) atLeast(what, ours, floor string, ratio, limit float64) {
	fmt.Fprintf(r.w, "%-62s %13s %13s %8s %7s %s\n", what, ours, floor, times(ratio), "≥"+times(limit), r.verdict(ratio >= limit))
}

// within prints a figure that has a limit of its own and no floor.
func (r *report) within(what, ours, limit string, ok bool) {
	fmt.Fprintf(r.w, "%-62s %13s %13s %8s %7s %s\n", what, ours, "", "", limit, r.verdict(ok))
}

func (r *report) verdict(ok bool) string {
	if ok {
		return "ok"
	}
	r.over++
	return "OVER"
}

// cpu prints the CPU of ours beside that of a floor.
func (r *report) cpu(what string, ours, floor usage, limit float64) {
	r.line(what, seconds(ours.cpu), seconds(floor.cpu), float64(ours.cpu)/float64(floor.cpu), limit)
}

// rows prints the rows read by ours beside those of a floor.
func (r *report) rows(what string, ours, floor uint64, limit float64) {
	r.line(what, grouped(ours), grouped(floor), float64(ours)/float64(floor), limit)
}

func times(f float64) string {
	if f == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f×", f)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func megabytes(b uint64) string { return fmt.Sprintf("%d MB", b>>20) }

// grouped writes a number with a comma after each three digits.
func grouped(n uint64) string {
	text := fmt.Sprint(n)
	var parts []string
	for ; len(text) > 3; text = text[:len(text)-3] {
		parts = append(parts, text[len(text)-3:])
	}
	parts = append(parts, text)
	slices.Reverse(parts)
	return strings.Join(parts, ",")
}

// median returns the run in the middle by CPU, the lower of two.
func median(runs []usage) usage {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b usage) int { return cmp.Compare(a.cpu, b.cpu) })
	return sorted[(len(sorted)-1)/2]
}
