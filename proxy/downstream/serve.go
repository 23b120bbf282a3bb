package downstream

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxHeaderBytes leaves room for the arguments that a client mirrors into headers.
const maxHeaderBytes = 64 << 10

// Listen listens on a TCP address, "host:port"; port 0 takes a free one, which the
// listener's Addr tells. Without authentication, any address but a loopback one is
// refused.
func (h *HTTP) Listen(address string) (net.Listener, error) {
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	if err := h.mayListen(resolved); err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", address, err)
	}
	return l, nil
}

func (h *HTTP) mayListen(a net.Addr) error {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsLoopback() || h.o.Authenticate != nil {
		return nil
	}
	return fmt.Errorf("will not listen on %s without authentication: every machine that can reach it could use every tool. Listen on a loopback address such as 127.0.0.1:8750, or configure authentication", a)
}

// Serve serves l until ctx ends. Then it takes no new connections and requests, ends
// subscriptions, lets the other requests finish for at most the grace period, and ends
// every session. It returns when all are gone, nil after the end of ctx. An HTTP serves
// once.
func (h *HTTP) Serve(ctx context.Context, l net.Listener) error {
	if err := h.mayListen(l.Addr()); err != nil {
		l.Close()
		return err
	}
	srv := &http.Server{
		Handler:        h,
		ReadTimeout:    h.o.ReadTimeout,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       log.New(errorLog{h}, "", 0),
		// No WriteTimeout: streams last. Each write has a limit of its own.
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()

	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serving on %s: %w", l.Addr(), err)
	case <-ctx.Done():
		l.Close()
	}
	grace, cancel := context.WithTimeout(context.Background(), h.o.Grace)
	defer cancel()
	h.drain(grace)
	h.Close()
	// What is left are handlers that return now that their sessions have ended.
	last, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if srv.Shutdown(last) != nil {
		srv.Close()
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// errorLog takes what net/http has to say about connections.
type errorLog struct{ h *HTTP }

func (e errorLog) Write(p []byte) (int, error) {
	e.h.o.Log.Debug().Msg(strings.TrimSpace(string(p)))
	return len(p), nil
}
