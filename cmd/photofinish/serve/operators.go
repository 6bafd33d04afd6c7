package serve

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	profiles "runtime/pprof"
	"strings"

	"photofinish/announce/web"
)

// Operators returns what the operators' listener serves: health with reasons, metrics and
// profiles. None of it is for the public.
func Operators(health *Health, metrics *Metrics) http.Handler {
	mux := http.NewServeMux()
	health.Mount(mux, true)
	mux.Handle("/metrics", metrics.Handler())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		web.Problem(w, http.StatusNotFound, "there is nothing here; operators have /healthz, /readyz, /metrics and /debug/pprof/")
	})
	mux.HandleFunc("/debug/pprof/", func(w http.ResponseWriter, r *http.Request) {
		if name := strings.TrimPrefix(r.URL.Path, "/debug/pprof/"); name != "" && profiles.Lookup(name) == nil {
			web.Problem(w, http.StatusNotFound, fmt.Sprintf("there is no profile %.80q; /debug/pprof/ lists those that there are", name))
			return
		}
		pprof.Index(w, r)
	})
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
