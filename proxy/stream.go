package proxy

// Stream carries messages to the client: the standard output, the response to an HTTP
// request, or a stream of server-sent events. Its implementations are in package
// downstream. Send may be called concurrently; several messages go out in one write where
// that can be.
type Stream interface {
	Send(m ...Outgoing) error
}

// Outgoing is one message to the client.
type Outgoing struct {
	Raw   []byte // one line without its end; must not be changed or kept after Send returns
	Final bool   // it is the response to the request that the stream was given with
	Code  int    // of an error response, else 0: HTTP derives its status from it
}
