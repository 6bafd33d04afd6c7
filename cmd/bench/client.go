package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// client sends requests that were written before over one connection, so that sending
// costs little beside what answers.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(ctx context.Context, addr string) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

// answerLimit is how long an answer may take.
const answerLimit = time.Minute

// send sends one request and returns what is answered.
func (c *client) send(request []byte) (status int, body []byte, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerLimit)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, err
	}
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, body, errors.Join(err, answer.Body.Close())
}

func (c *client) close() error { return c.conn.Close() }

// post writes a request that posts a body. Headers are "Name: value".
func post(path string, body []byte, headers ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n", path, len(body))
	for _, h := range headers {
		b.WriteString(h + "\r\n")
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// push writes a request that pushes events as lines of JSON.
func push(key string, body []byte, headers ...string) []byte {
	return post("/v1/events", body, append([]string{"Authorization: Bearer " + key, "Content-Type: application/x-ndjson"}, headers...)...)
}

// lines writes events of one server, numbered from a number on, as a game server sends
// them.
func lines(from, events int) []byte {
	now := time.Now().UTC()
	var b []byte
	for i := range events {
		n := from + i
		b = append(b, `{"id":"`...)
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, `","type":"kill","at":"`...)
		b = now.Add(time.Duration(i)).AppendFormat(b, time.RFC3339Nano)
		b = fmt.Appendf(b, `","player":"p%d","guild":"g%d","target":"rabbit","count":1,"seq":%d,"attrs":{"weapon":"bow"}}`+"\n", n%1000, n%100, n+1)
	}
	return b
}

// acknowledges checks that an answer acknowledges so many new events.
func acknowledges(status int, body []byte, events int) error {
	var answer pushed
	if status != http.StatusOK {
		return void("%d events are answered %d: %.200s", events, status, body)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return void("%d events are answered %.200s: %v", events, body, err)
	}
	if answer.Accepted != events || answer.Duplicates != 0 || len(answer.Rejected) > 0 {
		return void("of %d new events %d are accepted: %.200s", events, answer.Accepted, body)
	}
	return nil
}

// sendAll sends lists of requests to an address, each over a connection of its own and one
// after the other, all lists at once, and checks each answer.
func sendAll(ctx context.Context, addr string, lists [][][]byte, check func(status int, body []byte) error) error {
	errs := make([]error, len(lists))
	var all sync.WaitGroup
	for i, list := range lists {
		all.Go(func() {
			c, err := dial(ctx, addr)
			if err != nil {
				errs[i] = err
				return
			}
			for _, request := range list {
				status, body, err := c.send(request)
				if err == nil {
					err = check(status, body)
				}
				if err != nil {
					errs[i] = err
					break
				}
			}
			errs[i] = errors.Join(errs[i], c.close())
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
