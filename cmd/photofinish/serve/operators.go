package serve

import (
	"net/http"
	"net/http/pprof"
)

// Operators returns what the operators' listener serves: health with reasons, metrics and
// profiles. None of it is for the public.
func Operators(health *Health, metrics *Metrics) http.Handler {
	mux := http.NewServeMux()
	health.Mount(mux, true)
	mux.Handle("/metrics", metrics.Handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
