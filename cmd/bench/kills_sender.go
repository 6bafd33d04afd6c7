package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// sender is a game server: it pushes what happens on it in order, each batch again and
// again until it is acknowledged, and keeps a journal of what was.
type sender struct {
	name, region, key string

	rand         *rand.Rand
	seq          uint64
	at           time.Time // of its last event
	journal      [][]byte  // the events that were acknowledged, each a line
	repeats      int       // requests that were sent again
	acknowledged atomic.Int64
}

func keyOf(out []byte) (string, error) {
	var made struct {
		Key string `json:"key"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Key == "" {
		return "", fmt.Errorf("keys create --json prints no key: %w: %s", err, out)
	}
	return made.Key, nil
}

// maxBatch is how many events a request has at most.
const maxBatch = 40

// push sends batches to url until pushing is done; the one under way is still sent.
func (s *sender) push(ctx, pushing context.Context, url string) error {
	client := &http.Client{Timeout: 20 * time.Second}
	for pushing.Err() == nil {
		batch := s.batch()
		if err := s.deliver(ctx, client, url, batch); err != nil {
			return fmt.Errorf("server %s: %w", s.name, err)
		}
		select {
		case <-pushing.Done():
		case <-time.After(time.Duration(s.rand.IntN(30)) * time.Millisecond):
		}
	}
	return nil
}

// batch makes the next events of the server.
func (s *sender) batch() [][]byte {
	lines := make([][]byte, 1+s.rand.IntN(maxBatch))
	for i := range lines {
		if now := time.Now(); now.After(s.at) {
			s.at = now
		}
		s.seq++
		event := map[string]any{
			"id": strconv.FormatUint(s.seq, 10), "seq": s.seq, "at": s.at.UTC().Format(time.RFC3339Nano),
			"player": fmt.Sprintf("p%d", s.rand.IntN(20)),
		}
		if s.rand.IntN(25) == 0 {
			event["type"], event["sku"] = "purchase", "sword"
		} else {
			event["type"], event["target"] = "kill", "rabbit"
		}
		line, err := json.Marshal(event)
		if err != nil {
			panic(err) // of texts and numbers
		}
		lines[i] = line
	}
	return lines
}

var errRefused = errors.New("the node refused events that are right")

// deliver sends a batch until it is acknowledged.
func (s *sender) deliver(ctx context.Context, client *http.Client, url string, batch [][]byte) error {
	body := bytes.Join(batch, []byte("\n"))
	for {
		status, answer, err := s.post(ctx, client, url, body)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && status == http.StatusOK:
			if answer.Accepted+answer.Duplicates != len(batch) || len(answer.Rejected) > 0 {
				return fmt.Errorf("%w: %+v of %d", errRefused, answer, len(batch))
			}
			s.journal = append(s.journal, batch...)
			s.acknowledged.Add(int64(len(batch)))
			return nil
		case err == nil && status < 500 && status != http.StatusTooManyRequests:
			return fmt.Errorf("%w: status %d", errRefused, status)
		}
		s.repeats++
		time.Sleep(time.Duration(20+s.rand.IntN(100)) * time.Millisecond)
	}
}

type pushed struct {
	Accepted   int               `json:"accepted"`
	Duplicates int               `json:"duplicates"`
	Rejected   []json.RawMessage `json:"rejected"`
}

func (s *sender) post(ctx context.Context, client *http.Client, url string, body []byte) (status int, answer pushed, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, pushed{}, err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	request.Header.Set("Authorization", "Bearer "+s.key)
	response, err := client.Do(request)
	if err != nil {
		return 0, pushed{}, err
	}
	defer func() { _ = response.Body.Close() }() // all of it was read
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || response.StatusCode != http.StatusOK {
		return response.StatusCode, pushed{}, err
	}
	return response.StatusCode, answer, json.Unmarshal(text, &answer)
}
