package announce

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The characters around one that is made visible.
const (
	openMark  = "⟨"
	closeMark = "⟩"
)

// maxMarks is how many combining marks may stack on one character. No language
// that players write needs more; names that paint over their neighbours do.
const maxMarks = 3

// hidden reports whether a character changes how a text looks without being seen
// itself: controls, overrides of direction, spaces that are not the usual one, and
// letters that are blank.
func hidden(c rune) bool {
	switch c {
	case ' ':
		return false
	case '\u115f', '\u1160', '\u2800', '\u3164', '\uffa0', '\u034f', '\u17b4', '\u17b5': // blank letters
		return true
	}
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Co, unicode.Z) || c >= 0xfff0 && c <= 0xfffb
}

// visible returns a text that people chose in a form that is safe to look at, in
// pieces that must not be cut: each is a character with its marks, or a hidden
// character spelled as ⟨U+202E⟩. It is still to be encoded for where it is written.
func visible(s string) []string {
	if s == "" {
		return []string{openMark + "empty" + closeMark}
	}
	var pieces []string
	marks := 0
	runes := []rune(s) // what is not UTF-8 becomes U+FFFD, byte by byte
	for i, c := range runes {
		switch {
		case c == ' ' && (i == 0 || i == len(runes)-1):
			pieces = append(pieces, openMark+"U+0020"+closeMark)
		case c == '\u200d' && i > 0 && i+1 < len(runes) && pictorial(runes[i-1]) && pictorial(runes[i+1]):
			pieces[len(pieces)-1] += string(c) // joins two pictures into one, as it is meant to
		case hidden(c):
			pieces = append(pieces, fmt.Sprintf("%sU+%04X%s", openMark, c, closeMark))
		case unicode.Is(unicode.M, c) && len(pieces) > 0:
			if marks++; marks <= maxMarks {
				pieces[len(pieces)-1] += string(c)
			}
			continue
		case i > 0 && runes[i-1] == '\u200d' && pictorial(c) && len(pieces) > 0 && strings.HasSuffix(pieces[len(pieces)-1], "\u200d"):
			pieces[len(pieces)-1] += string(c)
		default:
			pieces = append(pieces, string(c))
		}
		marks = 0
	}
	return pieces
}

// pictorial reports whether a character is a picture or changes the look of one.
func pictorial(c rune) bool { return unicode.In(c, unicode.So, unicode.Sk) || c == '\ufe0f' }

// The widths that names are cut to, in columns.
const (
	pageNameColumns    = 64
	pictureNameColumns = 30
	verdictNameColumns = 20
)

// shown returns a text as visible does, cut to columns with an ellipsis.
func shown(s string, columns int) string {
	pieces := visible(s)
	var b strings.Builder
	used := 0
	for i, p := range pieces {
		w := width(p)
		last := i == len(pieces)-1
		if used+w > columns || used+w == columns && !last {
			b.WriteString("…")
			break
		}
		b.WriteString(p)
		used += w
	}
	return b.String()
}

// width returns about how many columns a piece takes: two for the scripts of East
// Asia and pictures, one for all else.
func width(piece string) int {
	c, _ := utf8.DecodeRuneInString(piece)
	switch {
	case strings.HasPrefix(piece, openMark):
		return utf8.RuneCountInString(piece)
	case c >= 0x1100 && unicode.In(c, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), c >= 0x1f000, c >= 0xff00 && c <= 0xff60:
		return 2
	}
	return 1
}

// rightToLeft reports whether a text has letters that are written right to left,
// which would pull the text around them along.
func rightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool {
		return unicode.In(c, unicode.Hebrew, unicode.Arabic, unicode.Syriac, unicode.Thaana, unicode.Nko)
	})
}
