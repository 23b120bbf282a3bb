package jsonrpc

import "strconv"

// NewResult returns a response with the raw id and the raw result.
func NewResult(id, result []byte) []byte {
	b := make([]byte, 0, len(id)+len(result)+40)
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, id...)
	b = append(b, `,"result":`...)
	b = append(b, result...)
	return append(b, '}')
}

// NewError returns an error response. A nil id becomes null; data is raw JSON or nil.
func NewError(id []byte, code int, message string, data []byte) []byte {
	if len(id) == 0 {
		id = []byte("null")
	}
	b := make([]byte, 0, len(id)+len(message)+len(data)+80)
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, id...)
	b = append(b, `,"error":`...)
	b = append(b, NewErrorObject(code, message, data)...)
	return append(b, '}')
}

// NewErrorObject returns the object that stands under "error" in a response.
func NewErrorObject(code int, message string, data []byte) []byte {
	b := append(make([]byte, 0, len(message)+len(data)+48), `{"code":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"message":`...)
	b = AppendQuote(b, message)
	if len(data) > 0 {
		b = append(b, `,"data":`...)
		b = append(b, data...)
	}
	return append(b, '}')
}

// NewRequest returns a request, or a notification if id is nil. Nil params are left out.
func NewRequest(id []byte, method string, params []byte) []byte {
	b := make([]byte, 0, len(id)+len(method)+len(params)+56)
	b = append(b, `{"jsonrpc":"2.0",`...)
	if id != nil {
		b = append(b, `"id":`...)
		b = append(b, id...)
		b = append(b, ',')
	}
	b = append(b, `"method":`...)
	b = AppendQuote(b, method)
	if params != nil {
		b = append(b, `,"params":`...)
		b = append(b, params...)
	}
	return append(b, '}')
}

// NewNotification returns a notification. Nil params are left out.
func NewNotification(method string, params []byte) []byte { return NewRequest(nil, method, params) }
