package upstream

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"
	"github.com/rs/zerolog"
)

var benchSizes = []int{64, 16 << 10, 1 << 20}

// answered returns options whose Message event sends to the channel.
func answered(o Options) (Options, chan struct{}) {
	c := make(chan struct{}, 1)
	o.Log = zerolog.Nop()
	o.Events.Message = func(*jsonrpc.Message, int64) { c <- struct{}{} }
	return o, c
}

// BenchmarkStdio measures round trips through a transport, and the same with what a bare
// relay would do: a buffered reader and a write.
func BenchmarkStdio(b *testing.B) {
	for _, size := range benchSizes {
		m := request(1, `"`+strings.Repeat("x", size)+`"`)
		b.Run(fmt.Sprintf("transport/%d", size), func(b *testing.B) {
			o, got := answered(childOptions(newRecorder(), "echo"))
			c := mustOpen(b, o)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Send(ctx, m); err != nil {
					b.Fatal(err)
				}
				<-got
			}
		})
		b.Run(fmt.Sprintf("bare/%d", size), func(b *testing.B) {
			c := exec.Command(os.Args[0])
			c.Env = []string{roleVariable + "=echo"}
			in, _ := c.StdinPipe()
			out, _ := c.StdoutPipe()
			if err := c.Start(); err != nil {
				b.Fatal(err)
			}
			lines := make(chan []byte, 1)
			go func() {
				r := bufio.NewReaderSize(out, 64<<10)
				for {
					line, err := r.ReadBytes('\n')
					if err != nil {
						return
					}
					lines <- line
				}
			}()
			line := append(bytes.Clone(m.Raw), '\n')
			b.ReportAllocs()
			for b.Loop() {
				if _, err := in.Write(line); err != nil {
					b.Fatal(err)
				}
				<-lines
			}
			b.StopTimer()
			in.Close()
			c.Wait()
		})
	}
}

// BenchmarkHTTP measures round trips through a transport, and the same with a bare
// client that reads the body.
func BenchmarkHTTP(b *testing.B) {
	for _, size := range benchSizes {
		for _, kind := range []string{jsonType, eventType} {
			m := request(1, `"`+strings.Repeat("x", size)+`"`)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body := make([]byte, req.ContentLength)
				io.ReadFull(req.Body, body)
				answer := jsonrpc.NewResult(jsonrpc.Get(body, "id"), jsonrpc.Get(body, "params"))
				w.Header().Set("Content-Type", kind)
				if kind == eventType {
					io.WriteString(w, "data: ")
					w.Write(answer)
					io.WriteString(w, "\n\n")
					return
				}
				w.Write(answer)
			}))
			defer s.Close()
			b.Run(fmt.Sprintf("transport/%s/%d", kind, size), func(b *testing.B) {
				o, got := answered(webOptions(newRecorder(), s.URL))
				c := mustOpen(b, o)
				b.ReportAllocs()
				for b.Loop() {
					if err := c.Send(context.Background(), m); err != nil {
						b.Fatal(err)
					}
					<-got
				}
			})
			b.Run(fmt.Sprintf("bare/%s/%d", kind, size), func(b *testing.B) {
				c := http.Client{}
				defer c.CloseIdleConnections()
				b.ReportAllocs()
				for b.Loop() {
					res, err := c.Post(s.URL, "application/json", bytes.NewReader(m.Raw))
					if err != nil {
						b.Fatal(err)
					}
					io.ReadAll(res.Body)
					res.Body.Close()
				}
			})
		}
	}
}
