package upstream

import (
	"fmt"
	"net/http"
)

// do sends a request, with an access token where the server wants one. A request that is
// answered with 401 was not accepted, and is made once more if another token may do.
func (w *web) do(req *http.Request) (*http.Response, error) {
	if w.o.OAuth == nil {
		return w.transport.RoundTrip(req)
	}
	if !w.o.OAuth.Accepts(req.URL) {
		return nil, fmt.Errorf("no access token is sent to %s, which is not the server's origin", req.URL.Host)
	}
	for first := true; ; first = false {
		token, err := w.o.OAuth.Token(req.Context())
		if err != nil {
			return nil, err
		}
		req.Header["Authorization"] = []string{"Bearer " + token}
		res, err := w.transport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusUnauthorized && res.StatusCode != http.StatusForbidden {
			w.o.OAuth.Accepted(token)
			return res, nil
		}
		again, err := w.o.OAuth.Refused(token, res)
		if err == nil && (!again || !first) {
			return res, nil
		}
		discard(res)
		if err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			req.Body, _ = req.GetBody()
		}
	}
}
