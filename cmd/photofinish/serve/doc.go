// Package serve is the process that a studio keeps running, without what the command line
// and the other packages say of themselves: a group of parts that are started and stopped
// in order, the two listeners, the clock of the hourly settlement, the health of it all and
// the metrics.
//
//	public listener     events in, reports out; for everybody who can reach it
//	operators' listener health with reasons, metrics, profiles; for the studio's own network
//
// A part is a function that blocks until its context is done. Whatever a part has begun and
// not finished when the process dies is finished by the next start: the spool is sent, the
// recorded cut is settled. Stopping in order only makes that start shorter.
package serve
