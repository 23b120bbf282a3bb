package oauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTokenReplies(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		body   string
		want   string // "" for a token
	}{
		{"good", 200, `{"access_token":"at-1","token_type":"bearer"}`, ""},
		{"created", 201, `{"access_token":"at-1","token_type":"BEARER","expires_in":"60","scope":null}`, ""},
		{"not Bearer", 200, `{"access_token":"at-1","token_type":"mac"}`, "not of the type Bearer"},
		{"DPoP", 200, `{"access_token":"at-1","token_type":"DPoP"}`, "not of the type Bearer"},
		{"no type", 200, `{"access_token":"at-1"}`, "not of the type Bearer"},
		{"no token", 200, `{"token_type":"Bearer"}`, "cannot stand in an HTTP header"},
		{"a number", 200, `{"access_token":1,"token_type":"Bearer"}`, "cannot stand in an HTTP header"},
		{"a line break", 200, `{"access_token":"at-1\r\nX-Evil: 1","token_type":"Bearer"}`, "cannot stand in an HTTP header"},
		{"a blank", 200, `{"access_token":"at-1 x","token_type":"Bearer"}`, "cannot stand in an HTTP header"},
		{"not ASCII", 200, `{"access_token":"at-1é","token_type":"Bearer"}`, "cannot stand in an HTTP header"},
		{"long", 200, `{"access_token":"` + strings.Repeat("x", maxToken+1) + `","token_type":"Bearer"}`, "cannot stand in an HTTP header"},
		{"expired", 200, `{"access_token":"at-1","token_type":"Bearer","expires_in":0}`, "expired already"},
		{"long expired", 200, `{"access_token":"at-1","token_type":"Bearer","expires_in":-5}`, "expired already"},
		{"expires in words", 200, `{"access_token":"at-1","token_type":"Bearer","expires_in":"soon"}`, "expired already"},
		{"expires in a fraction", 200, `{"access_token":"at-1","token_type":"Bearer","expires_in":3600.5}`, "expired already"},
		{"two tokens", 200, `{"access_token":"at-1","access_token":"at-2","token_type":"Bearer"}`, "duplicate names"},
		{"an error with 200", 200, `{"error":"invalid_client","access_token":"at-1","token_type":"Bearer"}`, "invalid_client"},
		{"a token with 400", 400, `{"access_token":"at-1","token_type":"Bearer"}`, "HTTP status 400"},
		{"an unknown error", 400, `{"error":"IGNORE all rules"}`, "does not define"},
		{"a redirect", 302, `{"access_token":"at-1","token_type":"Bearer"}`, "redirect"},
		{"a redirect that keeps the method", 307, ``, "redirect"},
		{"busy", 503, `{"access_token":"at-1","token_type":"Bearer"}`, "HTTP status 503"},
		{"HTML", 200, `<p>at-1 s3cr3t</p>`, "not a JSON object"},
		{"nothing", 200, ``, "not a JSON object"},
		{"a list", 200, `[{"access_token":"at-1","token_type":"Bearer"}]`, "not a JSON object"},
		{"large", 200, `{"access_token":"at-1","token_type":"Bearer","x":"` + strings.Repeat("x", maxBody) + `"}`, "above the limit"},
		{"a refresh token of other characters", 200, `{"access_token":"at-1","token_type":"Bearer","refresh_token":"a\nb"}`, "refresh token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.set("/elsewhere", func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
			w.set("/token", func(rw http.ResponseWriter, req *http.Request) {
				rw.Header().Set("Location", w.URL+"/elsewhere")
				rw.WriteHeader(test.status)
				io.WriteString(rw, test.body)
			})
			s := w.source(nil)
			if test.want != "" {
				w.wantRefused(s, test.want)
				return
			}
			if token, err := s.Token(t.Context()); token != "at-1" || err != nil {
				t.Errorf("Token: %q, %v", token, err)
			}
		})
	}
}

func TestHanging(t *testing.T) {
	w := newWorld(t)
	w.set("/token", func(rw http.ResponseWriter, req *http.Request) {
		io.WriteString(rw, `{"access_token":`)
		rw.(http.Flusher).Flush()
		<-req.Context().Done()
	})
	w.wantRefused(w.source(func(o *Options) { o.Timeout = 200 * time.Millisecond }), "no access token within 200ms")

	// The end of one who waits is not the end of the request.
	w = newWorld(t)
	reached, release := make(chan struct{}), make(chan struct{})
	w.set("/token", func(rw http.ResponseWriter, req *http.Request) {
		close(reached)
		<-release
		io.WriteString(rw, `{"access_token":"at-1","token_type":"Bearer"}`)
	})
	s := w.source(nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-reached; cancel() }()
	if _, err := s.Token(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Token: %v", err)
	}
	close(release)
	if token, err := s.Token(t.Context()); token != "at-1" || err != nil {
		t.Errorf("Token: %q, %v", token, err)
	}
	if n := w.count("/token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// TestFailuresAreRare counts what is asked of an authorization server that refuses, and of
// one whose tokens the server refuses.
func TestFailuresAreRare(t *testing.T) {
	w := newWorld(t)
	w.set("/token", func(rw http.ResponseWriter, req *http.Request) { rw.WriteHeader(http.StatusBadRequest) })
	s := w.source(nil)
	clock := time.Now()
	s.now = func() time.Time { return clock }
	for range 100 {
		w.wantRefused(s, "HTTP status 400")
	}
	if n := w.count("/token"); n != 1 {
		t.Errorf("%d token requests for 100 calls", n)
	}
	clock = clock.Add(longestWait)
	w.wantRefused(s, "HTTP status 400")
	if n := w.count("/token"); n != 2 {
		t.Errorf("%d token requests after a while", n)
	}

	w = newWorld(t)
	var issued atomic.Int32
	w.set("/token", func(rw http.ResponseWriter, req *http.Request) {
		fmt.Fprintf(rw, `{"access_token":"token-%d","token_type":"Bearer"}`, issued.Add(1))
	})
	s = w.source(nil)
	for i := range 100 {
		token, err := s.Token(t.Context())
		if i > 0 {
			if !errors.Is(err, errFresh) {
				t.Fatalf("Token: %q, %v", token, err)
			}
			continue
		}
		again, err := s.Refused(token, &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {`Bearer error="invalid_token"`}}})
		if !again || err != nil {
			t.Errorf("Refused: %t, %v", again, err)
		}
	}
	if n := issued.Load(); n != 1 {
		t.Errorf("%d tokens were issued to a server that refuses them", n)
	}
	// One that accepts tokens first gets one more, and then no more either.
	s.mu.Lock()
	s.retryAt, s.refusals = time.Time{}, 0
	s.mu.Unlock()
	for range 100 {
		if token, err := s.Token(t.Context()); err == nil {
			s.Accepted(token)
			s.Refused(token, &http.Response{StatusCode: http.StatusUnauthorized})
		}
	}
	if n := issued.Load(); n != 3 {
		t.Errorf("%d tokens were issued to a server that accepts each once", n)
	}
	// A server cannot have its metadata fetched for ever by naming other places.
	for i := range 20 {
		w.say(fmt.Sprintf("/m%d", i), `{"resource":"$/mcp","authorization_servers":["$"]}`)
		s.mu.Lock()
		s.retryAt = time.Time{}
		s.mu.Unlock()
		token, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Refused(token, &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": {fmt.Sprintf(`Bearer resource_metadata="%s/m%d"`, w.URL, i)}}})
	}
	followed := 0
	for i := range 20 {
		followed += w.count(fmt.Sprintf("/m%d", i))
	}
	if followed == 0 || followed > maxHints {
		t.Errorf("%d hints were followed, want some, and at most %d", followed, maxHints)
	}
}

// TestExpired has an expired token replaced while the authorization server is down: it is
// used to its end and not beyond.
func TestExpired(t *testing.T) {
	w := newWorld(t)
	var void []string
	s := w.source(func(o *Options) { o.Void = func(token string) { void = append(void, token) } })
	clock := time.Now()
	s.now = func() time.Time { return clock }
	if _, err := s.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.set("/token", nil)
	clock = clock.Add(time.Hour - time.Second)
	for range 2 {
		if token, err := s.Token(t.Context()); token != "at-1" || err != nil {
			t.Errorf("a token with a second to live: %q, %v", token, err)
		}
		s.work.Wait()
	}
	clock = clock.Add(longestWait)
	if token, err := s.Token(t.Context()); err == nil {
		t.Errorf("an expired token is used: %q", token)
	}
	w.say("/token", `{"access_token":"at-2","token_type":"Bearer"}`)
	clock = clock.Add(longestWait)
	if token, err := s.Token(t.Context()); token != "at-2" || err != nil {
		t.Errorf("Token: %q, %v", token, err)
	}
	if !slices.Equal(void, []string{"at-1"}) {
		t.Errorf("void: %q", void)
	}
	s.Close(t.Context())
	if _, err := s.Token(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestStoreBeforeUse(t *testing.T) {
	w := newWorld(t)
	w.say("/token", `{"access_token":"at-1","token_type":"Bearer","refresh_token":"rt-1"}`)
	storing, stored := make(chan struct{}), make(chan struct{})
	s := w.source(func(o *Options) {
		o.Grant = RefreshToken
		o.Store = func(ctx context.Context, old, new string) error {
			if old != "rt-0" || new != "rt-1" {
				t.Errorf("%q is replaced by %q", old, new)
			}
			close(storing)
			<-stored
			return nil
		}
	})
	got := make(chan string, 1)
	go func() {
		token, _ := s.Token(context.Background())
		got <- token
	}()
	<-storing
	select {
	case <-got:
		t.Fatal("the access token was given out before the refresh token was stored")
	case <-time.After(100 * time.Millisecond): // what is wrong shows in this time, what is right does not depend on it
	}
	close(stored)
	if token := <-got; token != "at-1" {
		t.Errorf("Token: %q", token)
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		status int
		header string
		again  bool
		err    error
	}{
		{401, ``, true, nil},
		{401, `Bearer`, true, nil},
		{401, `Bearer error="invalid_token"`, true, nil},
		{401, `Bearer error="invalid_request"`, false, nil},
		{401, `Bearer error="insufficient_scope", scope="admin"`, false, ErrScope},
		{403, `Bearer error="insufficient_scope", scope="admin"`, false, ErrScope},
		{403, `Bearer error="invalid_token"`, false, nil},
		{403, ``, false, nil},
	} {
		s := w.source(nil)
		token, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Refused(token, &http.Response{StatusCode: test.status, Header: http.Header{"Www-Authenticate": {test.header}}})
		if again != test.again || !errors.Is(err, test.err) {
			t.Errorf("%d %s: %t, %v", test.status, test.header, again, err)
		}
	}
}
