// Package rulefile reads rules files and says in words what their rules do.
//
// Parse turns the one YAML document of a file into a complete rules.Ruleset, or into
// an Error that names every problem at once with its line and field. A hostile file is
// refused cheaply: it is bounded in bytes before anything reads it, and in depth and
// entries and keys before the YAML reader, which recurses and takes quadratic time, sees it.
// Values are taken as they are written, whatever YAML would make of them.
//
// Describe says what a rule decides; Needs says what it has to wait for, and why.
//
// Like package rules it is pure: the same bytes give the same ruleset, the same words.
package rulefile
