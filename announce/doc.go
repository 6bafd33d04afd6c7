// Package announce shows what was decided. It reads the tables cuts, ledger and
// rulesets and renders them; it never decides, and shows nothing that is not there.
//
//	cuts, ledger ──Load──▶ []Report ──▶ WriteJSON       for programs
//	                                ──▶ WriteMarkdown   for chats and repositories
//	                                ──▶ Page.WriteHTML  for people
//	                                ──▶ Pictures        the photo finishes, as SVG
//
// A Report covers one cut, or a range of cuts as they stand at the last of them.
// Nothing is silently changed: where a report shows a cut as it was decided then,
// whatever a later cut corrected says by which entry.
//
// Names that players chose are kept as they are in a Report and are encoded where
// they are written, each place in its own way: see visible for what is common.
// Equal ledgers give equal bytes.
package announce
