// Package provenance is a session's memory of which values it saw and where.
//
// An agent can be talked into anything by the text it reads, so a rule asks not
// only what a value is but where it came from: a payee that the user named is one
// thing, a payee that stands in a stranger's mail another. What is shown to the
// agent is noted, and what the agent passes on is looked up:
//
//	m := provenance.New(provenance.Options{})
//	m.Text(provenance.Observation{Source: "user"}, prompt)
//	m.Sent(arguments)                                                    // before each call
//	m.Result(provenance.Observation{Source: "web.fetch", Trust: provenance.Untrusted}, result)
//	o := m.Lookup("https://example.com/a")                               // o.Trusted, o.Tainted, o.Sources
//
// # What counts as a value
//
// Text is read as words, split at white space and freed from the punctuation
// around them. Every word is a value, and so is every run of words that follow
// each other in one text: "Dalton Street 123" was seen where these three words
// stand in that order. A run does not go from one leaf of JSON to the next, nor
// from one line of a list or of "key: value" lines to the next. Parts of a word are
// values too where they are what people pass on: the host of a URL, an address in
// angle brackets, both sides of = or of a comma, what quotes enclose, the name in
// "Bob's". Scripts without spaces count every character as a word. In JSON every
// leaf is read in this way, and JSON inside a string once more. A name of a member
// is noted, but never as trusted.
//
// What the user and the configuration say counts in more forms, as people write for people:
// the names in a path and in that of a URL, unless they could be hosts; owner, repository and
// number of acme/web#12; the number in 50EUR, 5%, 2nd and 12.5k; dates and times of day as
// in May 15th 2024, 10am. A date with a time, as programs write it, is theirs if they said
// both.
//
// Else a longer value is never put together from parts: a URL whose host alone was seen
// was not seen, neither was a text of which only the sentences were seen apart, nor
// two values that were joined into one. A value that is shown encoded (base64, a
// date in other words, an address spelled "at example dot com") is another value.
// Two values are equal if they are so without regard to case, width and form of
// Unicode characters, invisible characters, the amount of white space and the
// punctuation around words. So are 1,000.00 and 1000 and 1e3; 1.000,00 too, but
// 1.000 is 1 and 1,5 no number, since both have two readings. So are a number with a
// currency sign and without; an IBAN, card or phone number with spaces, hyphens or
// what else sets off its groups and without; mailto:a@b.c and a@b.c, but not with a query; #general and general; a URL with and without
// http:// or https://, default port, last slash, and punycode. Characters that only
// look alike are not equal.
//
// Short words, small numbers, true and false follow the same rule, so they are often
// seen by accident: text that numbers its paragraphs has said 1, 2 and 3. Trust in
// such a value says little. Bound amounts with limits, not with their provenance.
//
// # What counts as trusted and as tainted
//
// Trusted is what was seen in a trusted place, wherever else it was seen: naming the
// user's own address in a mail does not make it the stranger's. Tainted is what was
// seen in untrusted places only. What was never seen is neither, and as an attacker
// can have a value split or spelled out, a rule about a destination should ask for
// trusted, not for the absence of tainted. A result that says that it is an error
// makes nothing trusted.
//
// # Echoes
//
// A result gives no source to a value that was sent to a tool before it: what the
// agent made up stays unseen when an error repeats it, and what a stranger wrote
// stays tainted when it was saved and read back. This holds for the words of what
// was sent and their parts; a run of words counts for nothing in a result if all
// its words were sent, and for no more than what it holds of an address or number
// that was sent. The user and the configuration can still name such a value.
//
// It holds for other spellings too: a word of a result counts for nothing if its letters
// and digits are those of a word that was sent or of up to three in a row, if an address,
// path or number can be cut into pieces of at least three that were sent, or if an address,
// host or number lies within one. Percent encoding, HTML entities and \u0040 are read. What
// a tool makes of what it was sent otherwise (translated, out of base64, out of "evil at x
// dot com") is new. So the results of tools that repeat what agents write are best not
// labelled trusted. What a tool finds by a part of it is new and should be: ann@b.com after
// a search for ann.
//
// # What is kept
//
// Of values only 64-bit hashes (hash/maphash, with a seed of this memory) are kept.
// That two values are mistaken for each other has a chance of 1 in 2^64 per pair: less
// than 1 in 10^13 for a lookup in a full memory of the default size. Nobody outside
// the process can find such a pair, as the seed never leaves it. What was sent is kept
// in three Bloom filters of at most 328 KiB each; where one errs, a result gives no source.
// A table says how long words were whose first three letters have the same 12 bits of a hash.
//
// A distinct value takes 32 bytes and 11 to 22 in the index, in a small one up to 43, a
// word of a run of two or more 12 bytes more, a distinct text of several words 11 to 22:
// 55 to 70 bytes a value in all. At most MaxValues values and four times as many words in runs are
// kept, shared out so that none can displace another: an eighth each for what the user
// and the configuration said and for trusted results, three eighths each for neutral and
// for untrusted ones. What exceeds a share is dropped and was thus not seen. Once
// something untrusted was dropped, a value that the memory does not know may have been
// in it, and counts as tainted.
package provenance

import (
	"math"
	"sync"
)

// Trust is what the configuration's labels say about a place.
type Trust uint8

const (
	Neutral   Trust = iota // no label
	Trusted                // its values may be used as destinations
	Untrusted              // it holds text written by strangers
)

// DefaultMaxValues bounds a memory to about 15 MB.
const DefaultMaxValues = 1 << 17

// maxText is how many bytes of one observation are read; the rest is dropped. Reading
// that much takes some 15 ms.
const maxText = 1 << 20

// maxWhole is the size in bytes up to which a text that is structured is a value as a
// whole too.
const maxWhole = 32 << 10

// Options are the settings of a Memory. The zero value means the defaults.
type Options struct {
	MaxValues int // distinct values kept; 0 means DefaultMaxValues
}

// Observation says where something was seen.
type Observation struct {
	// Source is "user", "config" or "server.tool". The first two are trusted unless
	// Trust is Untrusted.
	Source string
	Trust  Trust
	Fields []Field // parts whose trust is another
}

// Field is the trust of a part of a result. Of several fields that hold a value the
// one with the longest path counts, and of equally long ones the least trusting.
// Fields apply to JSON, as structured content or as a whole text. They apply also to a
// whole text that is YAML, or a list or dict as Python prints it; a server that does not
// quote what it puts in such a text lets strangers write fields.
// Any other text with fields has the least trust among them.
//
// Trust in a result or field whose values can be told apart, as in JSON or YAML, is trust
// in each value as a whole, and in the host of one that is a URL, but not in the words in
// it: who may choose the name of a channel cannot make an address in it a trusted one.
// Words in it are of the kind that they would be without the label. In prose that is
// trusted, which no field can be, every word is.
type Field struct {
	Path  string // such as result.email, result.items[].to, result.*.name; see CheckPath
	Trust Trust
}

// Origin is what a Memory knows of a value.
type Origin struct {
	Seen    bool // it was observed
	Trusted bool // in a trusted place at least
	Tainted bool // in untrusted places only, or the memory lost what would tell

	// Sources are where it was observed, sorted, at most 16: those that sort first.
	// The slice is shared and must not be changed.
	Sources []string
}

// Memory remembers values. It is safe for concurrent use.
type Memory struct {
	mu sync.Mutex
	store
	sent    filter
	spelled sentFilter         // what was sent, however it is spelled
	texts   hashSet            // those of several words that were read, with source and kind
	recent  [256]uint64        // those that were read last, by their last bits
	recalls [recallSize]recall // words that were read last, by the last bits of their hashes
	lost    bool               // something untrusted was dropped
	longest int                // words of the longest text that is known only as a whole
	budget  int                // bytes that the current observation may still read

	// What follows is scratch space, wiped after use.
	raw, folded []byte
	query       []queryWord
	number      [maxNumber]byte
	joined      [maxIBAN]byte // or the fewer digits of a card or phone number
}

// New returns an empty Memory.
func New(o Options) *Memory {
	if o.MaxValues <= 0 {
		o.MaxValues = DefaultMaxValues
	}
	m := &Memory{}
	m.store.init(o.MaxValues)
	m.spelled.init(m.hash(nil))
	return m
}

// Text notes the values of prose, which may hold JSON, YAML or other dumps.
func (m *Memory) Text(o Observation, text string) {
	m.mu.Lock()
	defer m.done()
	m.begin()
	m.document(m.reader(o), []byte(text), newScope(o))
}

// JSON notes the leaves of one JSON value; strings among them are read as text and as
// JSON. What is not valid JSON is read as text.
func (m *Memory) JSON(o Observation, raw []byte) {
	m.mu.Lock()
	defer m.done()
	m.begin()
	m.document(m.reader(o), raw, newScope(o))
}

// Result notes the values of an MCP result object: the texts of its content or
// messages, resources and links, and its structured content. _meta and binary data are
// ignored. If isError is set, nothing of it is trusted.
func (m *Memory) Result(o Observation, result []byte) {
	m.mu.Lock()
	defer m.done()
	m.begin()
	m.result(o, result)
}

// Sent notes the arguments of a call that is about to be sent, a JSON value: results
// give the values in it no source from now on.
func (m *Memory) Sent(args []byte) {
	m.mu.Lock()
	defer m.done()
	clear(m.recalls[:])
	m.budget = math.MaxInt // all of it, or what lies behind would be open to an echo
	m.document(&reader{m: m, sent: true}, args, scope{})
}

// Lookup returns what is known of v: nil, a bool, a number, a string, or a list or map
// of such. A list or map is seen or trusted if all its leaves are, and tainted if any
// is; without a leaf it is neither. Names in a map do not count.
func (m *Memory) Lookup(v any) Origin {
	m.mu.Lock()
	defer m.done()
	var f finding
	if !m.lookup(v, &f, 0) {
		return Origin{}
	}
	return Origin{Seen: f.seen, Trusted: f.trusted, Tainted: f.tainted, Sources: m.names(f.sources)}
}

// Stats are figures about a Memory.
type Stats struct {
	Values int  // distinct values kept
	Words  int  // words kept in runs
	Bytes  int  // memory in use
	Full   bool // values were dropped, so some that were shown count as not seen
}

// Stats returns the current figures.
func (m *Memory) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{
		Values: m.entries.n - 1,
		Words:  m.places.n,
		Bytes:  m.store.bytes() + m.sent.bytes() + m.spelled.bytes() + m.texts.bytes(),
		Full:   m.dropped,
	}
}

// begin sets the bounds of an observation.
func (m *Memory) begin() { m.budget, m.spelled.cuts = maxText, maxCuts }

// done wipes the scratch space, so that no text outlives its call in clear, and
// unlocks.
func (m *Memory) done() {
	m.raw, m.folded = wiped(m.raw), wiped(m.folded)
	clear(m.number[:])
	clear(m.joined[:])
	clear(m.spelled.scratch.text[:])
	m.mu.Unlock()
}

func wiped(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	clear(b[:cap(b)])
	return b[:0]
}
