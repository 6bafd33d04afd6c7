package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"photofinish/cmd/photofinish/serve"
	"photofinish/ingest/httpapi"
	"photofinish/ingest/keys"
)

// minHTTP is how many batches a second a node acknowledges at least, beside a handler that
// reads the same and does nothing with it.
const minHTTP = 0.7

// httpWriters is how many connections push at once.
const httpWriters = 64

// measureHTTP is a node that is reached over HTTP, as it is by serve.
func measureHTTP(ctx context.Context, in *intake) error {
	in.section("http  the same over HTTP, without ClickHouse, beside a bare handler of net/http that reads the bodies and answers")
	in.note("The client is in this process and weighs on both: it sends what was written before, and reads each answer.")
	turn := 0
	for _, c := range []struct{ events, batches int }{{1, in.acks}, {appendEvents, in.acks / 10}} {
		took, err := inTurns(in.turns, func() (usage, error) {
			turn++
			return in.pushAll(ctx, filepath.Join(in.dir, fmt.Sprint("http-", turn)), c.events, c.batches)
		}, func() (usage, error) { return pushBare(ctx, c.events, c.batches) })
		if err != nil {
			return err
		}
		perSecond := func(u usage) string { return grouped(uint64(float64(c.batches) / u.wall.Seconds())) }
		in.atLeast(fmt.Sprintf("%d writers, batches of %d: batches a second", httpWriters, c.events), perSecond(took.ours), perSecond(took.floor), 1/took.wall, minHTTP)
		in.line("  CPU of a batch, with the client's", fmt.Sprint(took.ours.cpu/time.Duration(c.batches)), fmt.Sprint(took.floor.cpu/time.Duration(c.batches)), took.cpu, 0)
	}
	return nil
}

// knownKeys are keys by what they are looked up by, as a node holds them.
type knownKeys map[keys.Hash]keys.Key

// Find costs what that of a node costs.
func (k knownKeys) Find(_ context.Context, text string) (keys.Key, error) {
	key, known := k[sha256.Sum256([]byte(text))]
	if !known {
		return key, keys.ErrUnknown
	}
	return key, nil
}

// pushAll has a new node take batches in from writers at once, checks that it holds each
// event once, and returns what that took.
func (in *intake) pushAll(ctx context.Context, dir string, events, batches int) (took usage, err error) {
	node, err := openBenchNode(nil, dir)
	if err != nil {
		return took, err
	}
	known, texts := knownKeys{}, make([]string, httpWriters)
	for w := range texts {
		text, key, err := keys.New(keys.Grant{Role: keys.RoleServer, Server: fmt.Sprint("server-", w), Region: "eu", Timezone: "UTC"}, time.Now())
		if err != nil {
			return took, err
		}
		known[key.Hash], texts[w] = key, text
	}
	metrics := serve.NewMetrics()
	handler, err := httpapi.New(node, known, slog.New(slog.DiscardHandler), httpapi.Config{
		Now: time.Now, Rate: httpapi.MaxRate, Count: metrics.Event, Refused: metrics.Refused,
	})
	if err != nil {
		return took, err
	}
	mux := http.NewServeMux()
	handler.Mount(mux)
	each := batches / httpWriters
	sent := requests(texts, each, events)
	err = served(ctx, metrics.Requests(mux), func(addr string) error {
		took, err = own(func() error {
			return sendAll(ctx, addr, sent, func(status int, body []byte) error { return acknowledges(status, body, events) })
		})
		return err
	})
	err = errors.Join(err, node.Close())
	if err == nil {
		err = holds(filepath.Join(dir, nodeName), uint64(httpWriters*each*events))
	}
	return took, errors.Join(err, os.RemoveAll(dir))
}

// requests makes a list of requests for each key.
func requests(texts []string, each, events int) [][][]byte {
	sent := make([][][]byte, len(texts))
	for w, key := range texts {
		for i := range each {
			sent[w] = append(sent[w], push(key, lines(i*events, events)))
		}
	}
	return sent
}

// pushBare sends the same to a handler that does nothing else than read it.
func pushBare(ctx context.Context, events, batches int) (took usage, err error) {
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "{\"accepted\":%d,\"duplicates\":0,\"rejected\":[]}\n", events)
	})
	sent := requests(make([]string, httpWriters), batches/httpWriters, events)
	err = served(ctx, bare, func(addr string) error {
		took, err = own(func() error {
			return sendAll(ctx, addr, sent, func(status int, body []byte) error { return acknowledges(status, body, events) })
		})
		return err
	})
	return took, err
}

// served calls work while a handler is reached as everybody reaches serve.
func served(ctx context.Context, handler http.Handler, work func(addr string) error) error {
	listener, err := serve.Listen(ctx, "127.0.0.1:0", "nothing", 0)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- serve.HTTP(listener, handler, serve.PublicLimits, slog.New(slog.DiscardHandler))(ctx) }()
	err = work(listener.Addr().String())
	stop()
	return errors.Join(err, <-ended)
}
