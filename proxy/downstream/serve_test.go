package downstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSubscriptionEndsAtShutdown(t *testing.T) {
	s := newSite(t, HTTPOptions{Grace: time.Hour})
	body, header := modernRequest("1", "subscriptions/listen")
	body = strings.Replace(body, `"params":{`, `"params":{"notifications":{"toolsListChanged":true},`, 1)
	stream := events(t, s.post(body, header...))
	if e, _ := stream.next(); !strings.Contains(e.data, "notifications/subscriptions/acknowledged") {
		t.Fatalf("got %v", e)
	}
	if e := s.change(stream); !strings.Contains(e.data, "notifications/tools/list_changed") {
		t.Fatalf("got %v", e)
	}
	s.stop()
	for {
		if _, more := stream.next(); !more {
			break
		}
	}
	if err := wait(t, s.done, "the server's end"); err != nil {
		t.Error(err)
	}
}

func TestGracefulShutdown(t *testing.T) {
	s := newSite(t, HTTPOptions{Grace: time.Hour})
	body, header := modernCall("1", "block", `{}`)
	type answer struct {
		status int
		body   string
	}
	answered := make(chan answer, 1)
	go func() {
		res := s.post(body, header...)
		b, _ := io.ReadAll(res.Body)
		answered <- answer{res.StatusCode, string(b)}
	}()
	wait(t, s.f.event, "the call")
	// A connection that is open already gets to hear why there is nothing any more.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ask := func() *http.Response {
		fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(s.url, "http://"))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		return res
	}
	if res := ask(); res.StatusCode != http.StatusOK {
		t.Fatalf("before: %d", res.StatusCode)
	}
	s.stop()
	for ask().StatusCode != http.StatusServiceUnavailable {
	}
	s.f.proceed <- struct{}{}
	if a := wait(t, answered, "the answer"); a.status != 200 || !strings.Contains(a.body, `"id":1,"result"`) {
		t.Errorf("got %v", a)
	}
	if err := wait(t, s.done, "the server's end"); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://")); err == nil {
		t.Error("still listening")
	}
}

// noGrace is within what a shutdown without grace cancels requests, on a busy machine too.
const noGrace = 4 * time.Second

func TestShutdownCancelsAfterGrace(t *testing.T) {
	s := newSite(t, HTTPOptions{}) // none at all
	body, header := modernCall("1", "block", `{}`)
	go func() {
		r, _ := http.NewRequest(http.MethodPost, s.url+"/mcp", strings.NewReader(body))
		r.Header = headers(append(header, "Content-Type: application/json")...)
		if res, err := s.client.Do(r); err == nil {
			res.Body.Close()
		}
	}()
	wait(t, s.f.event, "the call")
	stopped := time.Now()
	s.stop()
	if got := wait(t, s.f.event, "the cancel"); got != "cancelled" || time.Since(stopped) > noGrace {
		t.Errorf("got %q after %s", got, time.Since(stopped))
	}
	wait(t, s.done, "the server's end")
}

func TestListenRefusesWithoutAuthentication(t *testing.T) {
	f := newFixture(t)
	open := NewHTTP(f.relay, HTTPOptions{})
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		if l, err := open.Listen(address); err == nil {
			l.Close()
			t.Errorf("%s: listened without authentication", address)
		}
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := open.Serve(context.Background(), l); err == nil || !strings.Contains(err.Error(), "without authentication") {
		t.Errorf("Serve: %v", err)
	}
	guarded := NewHTTP(f.relay, HTTPOptions{Authenticate: func(*http.Request) (string, error) { return "", errors.New("no") }})
	l, err = guarded.Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// Clients that send slowly or without end are cut off, and hold up nobody.
func TestSlowClients(t *testing.T) {
	s := newSite(t, HTTPOptions{ReadTimeout: 50 * time.Millisecond, MaxRequest: 1 << 20})
	host := strings.TrimPrefix(s.url, "http://")
	head := "POST /mcp HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\n"
	const closed = "" // the connection ends, which net/http does without a word
	tests := []struct{ name, send, want string }{
		{"headers", "POST /mcp HTTP/1.1\r\nHost: " + host + "\r\nX: ", closed},
		{"body of known length", head + "Content-Length: 100\r\n\r\n{", "408"},
		{"big body of known length", head + "Content-Length: 900000\r\n\r\n{", "408"},
		{"chunked body", head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", "408"},
		{"body too large by its length", head + "Content-Length: 1048577\r\n\r\n", "413"},
		{"headers too large", "GET /mcp HTTP/1.1\r\nHost: " + host + "\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", "431"},
		{"two hosts", "GET /healthz HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.example.com\r\n\r\n", "400"},
		{"no host", "GET /healthz HTTP/1.0\r\n\r\n", "403"},
		{"host in the request line", "GET http://evil.example.com/healthz HTTP/1.1\r\nHost: " + host + "\r\n\r\n", "403"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(patience))
			go io.WriteString(conn, tt.send)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			switch {
			case tt.want == closed && (err == nil || errors.Is(err, os.ErrDeadlineExceeded)):
				t.Errorf("got %v, %v", res, err)
			case tt.want != closed && (err != nil || !strings.HasPrefix(res.Status, tt.want)):
				t.Errorf("got %v, %v", res, err)
			}
		})
	}
}

func TestEndlessBody(t *testing.T) {
	s := newSite(t, HTTPOptions{MaxRequest: 1 << 17})
	host := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	go func() {
		io.WriteString(conn, "POST /mcp HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 64<<10, bytes.Repeat([]byte{' '}, 64<<10))
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %v, %v", res, err)
	}
}

// A request that takes longer than ReadTimeout is not cut off by it.
func TestSlowAnswer(t *testing.T) {
	s := newSite(t, HTTPOptions{ReadTimeout: 20 * time.Millisecond})
	body, header := modernCall("1", "block", `{}`)
	answered := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(s.post(body, header...).Body)
		answered <- string(b)
	}()
	wait(t, s.f.event, "the call")
	select {
	case got := <-s.f.event:
		t.Errorf("got %q", got)
	case <-time.After(100 * time.Millisecond): // the time that must pass is what is tested
	}
	s.f.proceed <- struct{}{}
	if got := wait(t, answered, "the answer"); !strings.Contains(got, `"id":1,"result"`) {
		t.Errorf("got %s", got)
	}
}
