package announce

import (
	"strings"
	"unicode"
)

// markdownText encodes a text that people chose for any place in Markdown: it can
// neither begin nor end anything, break a line or a table, link, or call somebody,
// in CommonMark, on GitHub and in Discord.
//
// Punctuation is written with a backslash only where it can mean something, so that
// usual names stay as they are. A @ or # before a name or number is followed by a
// zero-width space, because chats look for mentions before they read backslashes.
func markdownText(s string, columns int) string {
	text := shown(s, columns)
	runes := []rune(text)
	var b strings.Builder
	for i, c := range runes {
		before, after := ' ', ' '
		if i > 0 {
			before = runes[i-1]
		}
		if i+1 < len(runes) {
			after = runes[i+1]
		}
		if meansSomething(c, before, after, text[:len(string(runes[:i]))]) {
			b.WriteByte('\\')
		}
		b.WriteRune(c)
		if c == '@' || c == '#' && !unicode.IsSpace(after) {
			b.WriteRune('\u200b')
		}
	}
	if rightToLeft(text) {
		return "\u2068" + b.String() + "\u2069" // isolated: its direction ends with it
	}
	return b.String()
}

// meansSomething reports whether a character between two others, with the text so
// far before it, can be read as Markdown.
func meansSomething(c, before, after rune, sofar string) bool {
	switch c {
	case '\\', '`', '*', '[', ']', '<', '|', '~', '$':
		return true
	case '_': // inside a word it means nothing, except that names may stand next to it
		return !letterOrDigit(before) || !letterOrDigit(after)
	case '@', '#', '-', '+', '=', '>': // a heading, list or quotation at the beginning of a line
		return sofar == ""
	case ':': // of an address; of a picture by its name
		return after == '/' || !letterOrDigit(before) || !letterOrDigit(after)
	case '&': // of an entity
		return letterOrDigit(after) || after == '#'
	case '.': // of an address; of a list at the beginning of a line
		return unicode.IsLetter(after) || numeral(sofar)
	case ')':
		return numeral(sofar)
	}
	return false
}

func letterOrDigit(c rune) bool { return unicode.IsLetter(c) || unicode.IsDigit(c) }

// numeral reports whether a text is a number, as before the items of a list.
func numeral(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
