package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// honest is a game server that does what it should.
type honest struct {
	addr, key string

	conn   *client
	events int // acknowledged, numbered from 1
	again  int // requests that had to be sent again
}

// honestEvery is how often it pushes.
const honestEvery = 100 * time.Millisecond

// push pushes for a while and returns how long each answer took, since the moment when the
// request was due: one that waits for the one before has waited, too.
func (h *honest) push(ctx context.Context, length time.Duration) (answers []time.Duration, err error) {
	begin := time.Now()
	for due := begin; due.Before(begin.Add(length)); due = due.Add(honestEvery) {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Until(due)):
		}
		if err := h.deliver(ctx, push(h.key, lines(h.events+1, appendEvents)), appendEvents); err != nil {
			return nil, err
		}
		answers = append(answers, time.Since(due))
	}
	return answers, nil
}

// deliver sends a request until it is acknowledged.
func (h *honest) deliver(ctx context.Context, request []byte, events int) error {
	const tries = 20
	var problem error
	for range tries {
		if err := ctx.Err(); err != nil {
			return err
		}
		status, body, err := h.send(ctx, request)
		if err == nil && status == http.StatusOK {
			var answer pushed
			if err := json.Unmarshal(body, &answer); err != nil || answer.Accepted+answer.Duplicates != events {
				return void("of %d honest events is said: %.200s", events, body)
			}
			h.events += events
			return nil
		}
		if err == nil && status != http.StatusServiceUnavailable {
			return void("%d honest events are answered %d: %.200s", events, status, body)
		}
		h.again++
		problem = errors.Join(err, fmt.Errorf("status %d: %.200s", status, body))
		time.Sleep(honestEvery)
	}
	return fmt.Errorf("an honest request was sent %d times: %w", tries, problem)
}

func (h *honest) send(ctx context.Context, request []byte) (status int, body []byte, err error) {
	if h.conn == nil {
		if h.conn, err = dial(ctx, h.addr); err != nil {
			return 0, nil, err
		}
	}
	status, body, err = h.conn.send(request)
	if err != nil {
		err = errors.Join(err, h.close())
	}
	return status, body, err
}

// fresh asks a few times a second over a new connection, with the same key and no event,
// until asked is closed, and returns how long each answer took.
func (h *honest) fresh(ctx context.Context, asked <-chan struct{}) (answers []time.Duration, err error) {
	for {
		began := time.Now()
		c, err := dial(ctx, h.addr)
		if err != nil {
			return nil, fmt.Errorf("somebody new: %w", err)
		}
		status, body, err := c.send(push(h.key, nil))
		if err := errors.Join(err, c.close()); err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("somebody new is answered %d: %.200s: %w", status, body, err)
		}
		answers = append(answers, time.Since(began))
		select {
		case <-asked:
			return answers, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(3 * honestEvery):
		}
	}
}

func (h *honest) close() (err error) {
	if h.conn != nil {
		err = h.conn.close()
		h.conn = nil
	}
	return err
}

func sortedTimes(times []time.Duration) []time.Duration {
	return slices.Sorted(slices.Values(times))
}
