package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
)

// relayStdio starts a command and copies lines to it and from it.
func relayStdio(args []string) error {
	if len(args) == 0 {
		return errors.New("relay-stdio: no command")
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("relay-stdio: %w", err)
	}
	go func() {
		copyLines(in, os.Stdin)
		in.Close()
	}()
	copyLines(os.Stdout, out)
	return cmd.Wait()
}

// copyLines copies until the end. It reads and writes whole lines, as anything must that is to look at messages, but
// writes several at once when they have come already.
func copyLines(dst io.Writer, src io.Reader) {
	in, out := bufio.NewReaderSize(src, 64<<10), bufio.NewWriterSize(dst, 64<<10)
	for {
		part, err := in.ReadSlice('\n')
		out.Write(part)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			out.Flush()
			return
		}
		if err == nil && in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

// relayHTTP is a reverse proxy of the standard library in front of the server at the URL.
func relayHTTP(args []string) error {
	if len(args) != 1 {
		return errors.New("relay-http: no URL")
	}
	target, err := url.Parse(args[0])
	if err != nil {
		return fmt.Errorf("relay-http: %w", err)
	}
	target.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 64}
	return listen(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &wholeBody{ReadCloser: r.Body, left: r.ContentLength}
		proxy.ServeHTTP(w, r)
	})
}

// wholeBody ends by itself after the declared length. The proxy would else read on to find the end while the answer is
// being written already, when the server has closed the body, and break off the answer.
type wholeBody struct {
	io.ReadCloser
	left int64
}

func (b *wholeBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.EOF
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
