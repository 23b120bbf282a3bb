package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// serveHTTP is the server over Streamable HTTP.
func serveHTTP() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Fprintf(os.Stderr, "listening on http://%s/mcp\n", l.Addr())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		response, id, tool := answer(body)
		switch {
		case response != nil:
			w.Header().Set("Content-Type", "application/json")
			w.Write(response)
		case tool != "":
			call(w, r, tool, string(id))
		default:
			w.WriteHeader(http.StatusAccepted)
		}
	}))
}

func call(w http.ResponseWriter, r *http.Request, tool, id string) {
	asJSON := func(parts ...string) {
		w.Header().Set("Content-Type", "application/json")
		for _, p := range parts {
			if _, err := io.WriteString(w, p); err != nil {
				return
			}
		}
	}
	event := func(data string) bool {
		w.Header().Set("Content-Type", "text/event-stream")
		_, err := io.WriteString(w, "data: "+strings.TrimSuffix(data, "\n")+"\n\n")
		return err == nil
	}
	part := strings.Repeat("x", 1_000_000)
	switch tool {
	case "hang", "deaf":
		<-r.Context().Done()
	case "die":
		panic(http.ErrAbortHandler)
	case "half":
		w.Header().Set("Content-Length", "1000")
		asJSON(result(id, done)[:20])
	case "flood":
		for range 5_000 {
			if !event(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"flood"}}`) {
				return
			}
		}
		event(result(id, done))
	case "twice":
		event(result(id, done))
		event(result(id, `{"content":[{"type":"text","text":"done again"}]}`))
	case "wrong_id":
		for _, wrong := range wrongIDs(id) {
			event(result(wrong, done))
		}
	case "large":
		asJSON(`{"jsonrpc":"2.0","id":`, id, `,"result":{"content":[{"type":"text","text":"`)
		for range huge / len(part) {
			if _, err := io.WriteString(w, part); err != nil {
				return
			}
		}
		asJSON(`"}]}}`)
	case "junk":
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<html><body>It works!</body></html>")
	case "fragments":
		for _, data := range []string{"", "{}", `{"jsonrpc":"2.0"`, result(id, done)} {
			event(data)
		}
	case "bad_json":
		asJSON(`{"jsonrpc":"2.0","id":`, id, `,"id":`, id, `,"result":`, done, `}`)
	case "deep":
		asJSON(result(id, `{"content":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`))
	case "binary":
		asJSON(`{"jsonrpc":"2.0","id":`, id, `,"result":{"content":[{"type":"text","text":"`, "\xff\xc0\x80\x00", `"}]}}`)
	case "orphan": // one event of any length
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: ")
		for range huge / len(part) {
			if _, err := io.WriteString(w, part); err != nil {
				return
			}
		}
	case "pings":
		for n := range 5_000 {
			if !event(fmt.Sprintf(`{"jsonrpc":"2.0","id":"p%d","method":"ping"}`, n)) {
				return
			}
		}
		event(result(id, done))
	case "trickle":
		w.Header().Set("Content-Type", "text/event-stream")
		for r.Context().Err() == nil {
			io.WriteString(w, ": still there\n")
			w.(http.Flusher).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	case "redirect":
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	case "status":
		http.Error(w, "out of order", http.StatusInternalServerError)
	default:
		asJSON(result(id, done))
	}
}
