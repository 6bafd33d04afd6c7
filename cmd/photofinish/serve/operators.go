package serve

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	profiles "runtime/pprof"
	"strings"

	"photofinish/announce/web"
)

// Operators returns what the operators' listener serves at an address: health with reasons,
// metrics and profiles. None of it is for the public. At a loopback address it answers those
// alone who call it by one or as localhost: an operator's browser can be brought to ask it for
// another's page, by a name that leads there.
func Operators(at net.Addr, health *Health, metrics *Metrics) http.Handler {
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
	if !IsLocal(at.String()) {
		return mux // by what names it is reached there, nobody can say
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "" && !IsLocal(r.Host) { // none has who speaks HTTP/1.0, which no browser does
			web.Problem(w, http.StatusMisdirectedRequest, "the operators' address is on loopback: it is reached as localhost or by its address, and by no other name")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// IsLocal reports whether an address, with or without a port, is on this machine's
// loopback by its spelling alone.
func IsLocal(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}
