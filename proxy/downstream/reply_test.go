package downstream

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpfirewall/mcpfirewall/proxy"
)

// guardedWriter is a response that tells of writes after the handler has returned, which
// net/http answers with a panic that nothing catches.
type guardedWriter struct {
	*httptest.ResponseRecorder
	over atomic.Bool
	late atomic.Int32
}

func (w *guardedWriter) check() {
	if w.over.Load() {
		w.late.Add(1)
	}
}

func (w *guardedWriter) WriteHeader(status int) { w.check(); w.ResponseRecorder.WriteHeader(status) }
func (w *guardedWriter) Write(b []byte) (int, error) {
	w.check()
	return w.ResponseRecorder.Write(b)
}
func (w *guardedWriter) FlushError() error { w.check(); w.ResponseRecorder.Flush(); return nil }

// TestPanicLeavesNothingBehind lets a request panic before, and in the middle of, its
// stream of events: no timer may write when the handler has returned, and nobody else.
func TestPanicLeavesNothingBehind(t *testing.T) {
	for _, begun := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := &HTTP{o: HTTPOptions{KeepAlive: time.Second}}
			w := &guardedWriter{ResponseRecorder: httptest.NewRecorder()}
			p := h.newReply(w, acceptable{json: true, events: true}, nil, nil)
			func() {
				defer func() {
					w.over.Store(true)
					if recover() == nil {
						t.Error("the panic was lost: net/http has to end the connection")
					}
				}()
				if begun {
					if err := p.Send(proxy.Outgoing{Raw: []byte(`{}`)}); err != nil {
						t.Fatal(err)
					}
				}
				run(context.Background(), nil, nil, p) // a nil session panics
			}()
			if err := p.Send(proxy.Outgoing{Raw: []byte(`{}`), Final: true}); !errors.Is(err, errClosed) {
				t.Errorf("begun %v: a message after the handler's return: %v", begun, err)
			}
			time.Sleep(time.Minute) // of the bubble: every timer has its time
			if n := w.late.Load(); n != 0 {
				t.Errorf("begun %v: %d writes after the handler's return", begun, n)
			}
			if got := w.Code; begun && got != http.StatusOK {
				t.Errorf("got status %d", got)
			}
		})
	}
}
