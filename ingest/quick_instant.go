package ingest

import "photofinish/rules"

// quickInstant is rules.ParseInstant for the form that most programs write, in UTC and
// with up to nine decimals: 2026-11-21T07:00:00.123456789Z. False is no answer.
func quickInstant(s string) (at rules.Instant, ok bool) {
	const whole = len("2006-01-02T15:04:05")
	if len(s) <= whole || s[len(s)-1] != 'Z' || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	ok = true
	two := func(i int) int64 {
		tens, ones := s[i]-'0', s[i+1]-'0'
		ok = ok && tens <= 9 && ones <= 9
		return int64(tens)*10 + int64(ones)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	if !ok || year < 2000 || year >= 2200 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	ns, ok := decimals(s[whole : len(s)-1])
	if !ok {
		return 0, false
	}
	seconds := ((daysBefore(year, month)+day-1)*24+hour)*3600 + minute*60 + second
	return rules.Instant(seconds*1e9 + ns), true
}

// decimals returns the nanoseconds that a point and one to nine digits say.
func decimals(s string) (ns int64, ok bool) {
	if s == "" {
		return 0, true
	}
	if s[0] != '.' || len(s) == 1 || len(s) > len(".123456789") {
		return 0, false
	}
	unit := int64(1e9)
	for i := 1; i < len(s); i++ {
		digit := s[i] - '0'
		if digit > 9 {
			return 0, false
		}
		unit /= 10
		ns += int64(digit) * unit
	}
	return ns, true
}

func isLeap(year int64) bool { return year%4 == 0 && (year%100 != 0 || year%400 == 0) }

// daysOf is how many days a month has, from 1 for January.
func daysOf(year, month int64) int64 {
	if month == 2 && isLeap(year) {
		return 29
	}
	return [...]int64{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// daysBefore is how many days lie between 1970-01-01 and the month, which is in 1970
// or later.
func daysBefore(year, month int64) int64 {
	y := year - 1
	leaps := y/4 - y/100 + y/400 - (1969/4 - 1969/100 + 1969/400)
	days := (year-1970)*365 + leaps + [...]int64{0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}[month-1]
	if month > 2 && isLeap(year) {
		days++
	}
	return days
}
