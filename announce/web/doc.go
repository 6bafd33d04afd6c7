// Package web shows what was decided to anybody who asks over HTTP: as a page and as JSON,
// both in the public form. It only reads what settle recorded.
//
//	/                             everything that stands, as a page (Accept: application/json: as JSON)
//	/reports/{cut}                one settlement, likewise
//	/v1/reports                   settlements, the newest first
//	/v1/reports/{cut}             one settlement
//	/v1/awards                    ?rule= &subject= &state=
//	/v1/leaderboards/{rule}       ?window= &around= &top=
//
// A list of a rule that there is not is 404; one of which nothing is decided yet is empty.
//
// Answers are made once for each settled cut and kept, so what viewers cost does not depend
// on how many there are: one short query a second, one reading for everything that stands, and
// one for each settlement and form. Lists are cut from these. Every number and page token has
// one spelling; another is refused.
package web
