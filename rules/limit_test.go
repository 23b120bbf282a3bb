package rules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
	"github.com/mcpfirewall/mcpfirewall/internal/state/sqlite"
)

var limitNow = time.Date(2026, 11, 24, 11, 5, 0, 0, time.UTC)

func refunds() Limit {
	return Limit{Name: "refunds a day", Tools: []string{"stripe.*"}, Sum: "args.amount", Max: "200", Per: "24h", Then: Deny}
}

func mustLimit(t testing.TB, src Limit) *limit {
	t.Helper()
	l := compileLimit("limits[0]", src, func(p Problem) { t.Fatalf("%+v: %s", src, p) })
	return l
}

// charges is what limits take for a call of stripe.create_refund.
func charges(t testing.TB, args string, who Owner, limits ...*limit) (Charges, Decision) {
	t.Helper()
	policy, err := Compile(Source{Tools: Patterns{Allow: []string{"*"}}, Rules: []Rule{{Name: "x", Tools: []string{"*"}, When: "false", Then: Deny}}})
	if err != nil {
		t.Fatal(err)
	}
	entry := policy.Bind(Capability{Kind: Tool, Server: "stripe", Name: "create_refund"})
	run := newEvaluation(entry, Call{Args: []byte(args)})
	defer run.release()
	return chargesOf(run, limits, who)
}

func newLimitStore(t testing.TB) state.Store {
	s := sqlite.New(sqlite.Options{Dir: t.TempDir() + "/state"})
	t.Cleanup(func() { s.Close() })
	return s
}

var alice = Owner{Principal: "alice", Session: "s1"}

func TestLimitProblems(t *testing.T) {
	for _, c := range []struct {
		path   string
		change func(*Limit)
	}{
		{"tools", func(l *Limit) { l.Tools = nil }},
		{"tools[0]", func(l *Limit) { l.Tools = []string{"nodot"} }},
		{"then", func(l *Limit) { l.Then = 0 }},
		{"then", func(l *Limit) { l.Then = Allow }},
		{"when", func(l *Limit) { l.When = "args.amount" + " +" }},
		{"when", func(l *Limit) { l.When = "1 + 1" }},
		{"sum", func(l *Limit) { l.Sum = "'5'" }},
		{"sum", func(l *Limit) { l.Sum = "args.amount > 5" }},
		{"sum", func(l *Limit) { l.Sum = "arsg.amount" }},
		{"max", func(l *Limit) { l.Max = "" }},
		{"max", func(l *Limit) { l.Max = "0" }},
		{"max", func(l *Limit) { l.Max = "-5" }},
		{"max", func(l *Limit) { l.Max = "1_000" }},
		{"max", func(l *Limit) { l.Max = "0x10" }},
		{"max", func(l *Limit) { l.Max = "Inf" }},
		{"max", func(l *Limit) { l.Max = "0.0000001" }},
		{"max", func(l *Limit) { l.Max = "9007199254.740992" }},
		{"max", func(l *Limit) { l.Max = "1e400" }},
		{"max", func(l *Limit) { l.Sum, l.Max = "", "2.5" }},
		{"per", func(l *Limit) { l.Per = "" }},
		{"per", func(l *Limit) { l.Per = "year" }},
		{"per", func(l *Limit) { l.Per = "-1h" }},
		{"per", func(l *Limit) { l.Per = "10ms" }},
		{"per", func(l *Limit) { l.Per = "400d" }},
		{"per", func(l *Limit) { l.Per = "99999999999999d" }},
		{"per", func(l *Limit) { l.Per = "1h1ns" }},
		{"zone", func(l *Limit) { l.Zone = "Europe/Berlin" }},
		{"zone", func(l *Limit) { l.Per, l.Zone = "day", "Europe/Berln" }},
		{"zone", func(l *Limit) { l.Per, l.Zone = "day", "../../etc/passwd" }},
		{"by", func(l *Limit) { l.By = "princpal" }},
		{"by", func(l *Limit) { l.By = "args" }},
		{"by", func(l *Limit) { l.By = "true" }},
	} {
		l := refunds()
		c.change(&l)
		var got []string
		compileLimit("limits[2]", l, func(p Problem) { got = append(got, p.String()) })
		if len(got) != 1 || !strings.HasPrefix(got[0], "limits[2]."+c.path+": ") {
			t.Errorf("%+v: %q, want one problem at %s", l, got, c.path)
		}
	}
	for _, change := range []func(*Limit){
		func(l *Limit) { l.Max = "199.999999" },
		func(l *Limit) { l.Max = "9007199254.740991" },
		func(l *Limit) { l.Per = "30d" },
		func(l *Limit) { l.Per = "1h30m" },
		func(l *Limit) { l.Per, l.Zone = "week", "Europe/Berlin" },
		func(l *Limit) { l.By = "args.account ?? 'none'" },
		func(l *Limit) { l.By = "session" },
		func(l *Limit) { l.Sum = "args.amount * 100" },
		func(l *Limit) { l.When = "args.currency == 'EUR'" },
	} {
		l := refunds()
		change(&l)
		mustLimit(t, l)
	}
}

func TestSummands(t *testing.T) {
	l := mustLimit(t, refunds())
	for args, want := range map[string]int64{
		`{"amount": 5}`:            5_000_000,
		`{"amount": 5.0}`:          5_000_000,
		`{"amount": 0}`:            0,
		`{"amount": -0}`:           0,
		`{"amount": -0.0}`:         0,
		`{"amount": 0.000001}`:     1,
		`{"amount": 1e-6}`:         1,
		`{"amount": 19.99}`:        19_990_000,
		`{"amount": 1e3}`:          1_000_000_000,
		`{"amount": 123456.78901}`: 123_456_789_010,
		`{"amount": 8000000000}`:   8_000_000_000_000_000,
		// Calculated in float64.
		`{"amount": 0.30000000000000004}`: 300_000,
		`{"amount": 1998.9999999999998}`:  1_999_000_000,
	} {
		c, d := charges(t, args, alice, l)
		if d.Action != Allow || len(c.charged) != 1 || c.charged[0].Amount != want {
			t.Errorf("%s: %+v %+v, want %d", args, c.charged, d, want)
		}
	}
	for _, args := range []string{
		`{}`, ``, `{"amount": null}`, `{"amount": "5"}`, `{"amount": true}`, `{"amount": [5]}`, `{"amount": {"value": 5}}`,
		`{"amount": -1}`, `{"amount": -0.000001}`, `{"amount": -1e-300}`,
		`{"amount": 0.0000001}`, `{"amount": 0.0000004}`, `{"amount": 1e-300}`, `{"amount": 5.00000001}`,
		`{"amount": 9007199255}`, `{"amount": 9223372036854775807}`, `{"amount": 18446744073709551617}`, `{"amount": 1e300}`,
		`{"amount": 0.1000000000000000055511151231257827}`, // no float64 prints as that
		`{"Amount": 5}`, `{"amount": 5, "amount": 1}`, `[5]`, `{"amount": 5`,
	} {
		c, d := charges(t, args, alice, l)
		if d.Action != Deny || d.Failed == nil || d.Rule != l.name || !c.Empty() {
			t.Errorf("%s: %+v, want a denial", args, d)
		}
	}
	product := refunds()
	product.Sum = "args.quantity * args.price"
	for args, want := range map[string]int64{
		`{"quantity": 3, "price": 0.1}`:     300_000,
		`{"quantity": 100, "price": 19.99}`: 1_999_000_000,
		`{"quantity": 7, "price": 1.1}`:     7_700_000,
	} {
		if c, d := charges(t, args, alice, mustLimit(t, product)); d.Action != Allow || c.charged[0].Amount != want {
			t.Errorf("%s: %+v %+v, want %d", args, c.charged, d, want)
		}
	}
}

func TestLimitKeys(t *testing.T) {
	by := func(text string) *limit {
		l := refunds()
		l.Sum, l.By = "", text
		return mustLimit(t, l)
	}
	key := func(by *limit, args string, who Owner) string {
		c, d := charges(t, args, who, by)
		if d.Action != Allow {
			return "denied: " + d.Failed.Error()
		}
		return c.charged[0].Key
	}
	for text, want := range map[string]string{"": "principal:alice", "principal": "principal:alice", "session": "session:s1", "tool": "tool:stripe.create_refund"} {
		if got := key(by(text), `{}`, alice); got != want {
			t.Errorf("by %q: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"principal", "session"} {
		if got := key(by(text), `{}`, Owner{}); !strings.HasPrefix(got, "denied") {
			t.Errorf("by %q without one: %q", text, got)
		}
	}
	account := by("args.account")
	same := key(account, `{"account": "Straße ab-1"}`, alice)
	for _, spelling := range []string{"STRAßE AB-1", "  straße   ab-1 ", "straßeab-1", `stra\u00dfe\u00a0ab-1`, `stra\u200b\u00dfe ab-1`, `ſtra\u00dfe\ufe0f\u2028ab-1`,
		`ｓｔｒａßｅ ａｂ-１`, `straße a\u00adb-1`, `straße\tab-1\u0000`} {
		if got := key(account, `{"account": "`+spelling+`"}`, alice); got != same {
			t.Errorf("%q counts as %q, not as %q", spelling, got, same)
		}
	}
	if seven := key(account, `{"account": 7}`, alice); seven != key(account, `{"account": "7"}`, alice) || seven != key(account, `{"account": 7.0}`, alice) {
		t.Error("7 has several spellings")
	}
	if key(account, `{"account": "principal:alice"}`, alice) == key(by(""), `{}`, alice) {
		t.Error("a value counts as a principal")
	}
	for _, args := range []string{`{}`, `{"account": null}`, `{"account": ""}`, `{"account": " \u200b "}`, `{"account": []}`, `{"account": {}}`, `{"account": true}`,
		`{"account": 123456789012345678901234567890}`, `{"account": "` + strings.Repeat("a", maxKey+1) + `"}`} {
		if got := key(account, args, alice); !strings.HasPrefix(got, "denied") {
			t.Errorf("%.40s: counts by %q", args, got)
		}
	}
}

func TestLimitWhen(t *testing.T) {
	l := refunds()
	l.When = "args.currency == 'EUR'"
	if c, d := charges(t, `{"currency": "USD"}`, alice, mustLimit(t, l)); d.Action != Allow || !c.Empty() {
		t.Errorf("a call that the limit does not concern: %+v %+v", c, d)
	}
	if _, d := charges(t, `{"currency": "EUR"}`, alice, mustLimit(t, l)); d.Action != Deny {
		t.Errorf("a missing summand: %+v", d)
	}
	l.When = "args.missing.field"
	if _, d := charges(t, `{}`, alice, mustLimit(t, l)); d.Action != Deny || d.Failed == nil {
		t.Errorf("a condition that fails: %+v", d)
	}
}

func TestLimitMessages(t *testing.T) {
	ctx := context.Background()
	spend := func(store state.Store, l *limit, args, id string, now time.Time, approved bool) Decision {
		c, d := charges(t, args, alice, l)
		if d.Action == Deny {
			t.Fatal(d.Failed)
		}
		return c.Reserve(ctx, store, now, id, approved)
	}
	store, l := newLimitStore(t), mustLimit(t, refunds())
	if d := spend(store, l, `{"amount": 170}`, "1", limitNow.Add(-21*time.Hour+30*time.Second), false); d.Action != Allow {
		t.Fatal(d)
	}
	want := `The limit "refunds a day" allows 200 per 24h for you. This call counts 50; 30 is left. There will be enough at 14:06 UTC (in 4 h).`
	if d := spend(store, l, `{"amount": 50}`, "2", limitNow, false); d.Action != Deny || d.Rule != l.name || d.Message != want {
		t.Errorf("%+v", d)
	}
	want = `The limit "refunds a day" allows 200 per 24h for you. This call counts 200.5; 30 is left. It is more than the limit ever allows in one call.`
	if d := spend(store, l, `{"amount": 200.5}`, "2", limitNow, true); d.Action != Deny || d.Message != want { // approval does not pass a limit that denies
		t.Errorf("%+v", d)
	}

	mails := mustLimit(t, Limit{Name: "mails", Tools: []string{"*"}, Max: "1", Per: "day", Zone: "America/New_York", By: "session", Then: Ask, Message: "Mail costs."})
	spend(store, mails, `{}`, "3", limitNow, false)
	want = `Mail costs. The limit "mails" allows 1 call per day in this session. Nothing is left. It resets on 25 November 2026 at 00:00 EST (in 18 h). A person has to approve this call.`
	for range 2 { // a refused call took nothing
		if d := spend(store, mails, `{}`, "4", limitNow, false); d.Action != Ask || d.Message != want {
			t.Errorf("%+v", d)
		}
	}
	if d := spend(store, mails, `{}`, "4", limitNow, true); d.Action != Allow {
		t.Errorf("approved: %+v", d)
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Millisecond: "1 s", 90 * time.Second: "90 s", 121 * time.Second: "3 min", 3*time.Hour - time.Second: "3 h", 49 * time.Hour: "3 days",
	} {
		if got := about(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// A window's length is not overstated at its very beginning.
func TestMoment(t *testing.T) {
	now := time.Date(2026, 11, 24, 11, 5, 30, 500e6, time.UTC)
	for d, want := range map[time.Duration]string{
		24*time.Hour - time.Millisecond: "on 25 November 2026 at 11:06 UTC (in 24 h)", 24 * time.Hour: "on 25 November 2026 at 11:06 UTC (in 24 h)",
		time.Hour: "at 12:06 UTC (in 60 min)", time.Minute: "at 11:06:31 UTC (in 60 s)", 48 * time.Hour: "on 26 November 2026 at 11:06 UTC (in 48 h)",
	} {
		if got := moment(now.Add(d), now, time.UTC); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// brokenStore cannot be reached.
type brokenStore struct{ state.Store }

var errBroken = errors.New("disk on fire")

func (brokenStore) Reserve(context.Context, time.Time, string, []state.Charge) (state.Verdict, error) {
	return state.Verdict{}, errBroken
}
func (brokenStore) Peek(context.Context, time.Time, []state.Charge) ([]state.Room, error) {
	return nil, errBroken
}

func TestBrokenStoreDenies(t *testing.T) {
	ctx := context.Background()
	ask := refunds()
	ask.Then = Ask
	c, _ := charges(t, `{"amount": 1}`, alice, mustLimit(t, ask))
	for _, d := range []Decision{c.Reserve(ctx, brokenStore{}, limitNow, "1", true), c.Check(ctx, brokenStore{}, limitNow)} {
		if d.Action != Deny || !errors.Is(d.Failed, errBroken) || strings.Contains(d.Message, "disk") {
			t.Errorf("%+v", d)
		}
	}
	var none Charges
	if d := none.Reserve(ctx, brokenStore{}, limitNow, "1", false); d.Action != Allow {
		t.Errorf("a call without limits needs the store: %+v", d)
	}
}

// One more limit never lets more calls pass, and the order of limits never matters.
func TestLimitsOnlyTighten(t *testing.T) {
	ctx := context.Background()
	r := rand.New(rand.NewPCG(3, 4))
	for round := range 20 {
		var limits []*limit
		for i := range 4 {
			l := Limit{Name: fmt.Sprint("l", i), Tools: []string{"*"}, Max: fmt.Sprint(5 + r.IntN(20)), Per: []string{"1h", "90m", "day", "hour"}[r.IntN(4)],
				By: []string{"", "session", "tool", "args.to"}[r.IntN(4)], Then: []Action{Ask, Deny}[r.IntN(2)]}
			if r.IntN(2) == 0 {
				l.Sum = "args.amount"
			}
			limits = append(limits, mustLimit(t, l))
		}
		fewer, more, other := newLimitStore(t), newLimitStore(t), newLimitStore(t)
		now := limitNow
		for step := range 60 {
			now = now.Add(time.Duration(r.Int64N(int64(20 * time.Minute))))
			args := fmt.Sprintf(`{"amount": %d.%02d, "to": "%c"}`, r.IntN(4), r.IntN(100), 'a'+r.IntN(2))
			decide := func(store state.Store, limits ...*limit) Decision {
				limits = append([]*limit(nil), limits...)
				r.Shuffle(len(limits), func(i, j int) { limits[i], limits[j] = limits[j], limits[i] })
				sortLimits(limits)
				c, d := charges(t, args, alice, limits...)
				if d.Action != Allow {
					return d
				}
				return c.Reserve(ctx, store, now, fmt.Sprint(step), false)
			}
			all := decide(more, limits...)
			if again := decide(other, limits...); again.Action != all.Action || again.Message != all.Message || again.Rule != all.Rule {
				t.Fatalf("round %d step %d: %+v in one order, %+v in another", round, step, all, again)
			}
			if all.Action == Allow { // then with one limit less, over the same calls
				if one := decide(fewer, limits[1:]...); one.Action != Allow {
					t.Fatalf("round %d step %d: four limits allow what three of them refuse: %+v", round, step, one)
				}
			}
		}
	}
}

func FuzzLimitArguments(f *testing.F) {
	for _, s := range []string{`{"amount": 1, "to": "a"}`, `{"amount": 1e-7, "to": 5}`, `{"amount":0.30000000000000004,"to":"\u200b"}`} {
		f.Add(s)
	}
	src := refunds()
	src.By = "args.to"
	l := mustLimit(f, src)
	f.Fuzz(func(t *testing.T, args string) {
		c, d := charges(t, args, alice, l)
		if d.Action == Allow {
			if err := state.Check(c.charged); err != nil {
				t.Errorf("%q: %v", args, err)
			}
		} else if d.Failed == nil || !c.Empty() {
			t.Errorf("%q: %+v", args, d)
		}
	})
}

func BenchmarkCharges(b *testing.B) {
	policy, err := Compile(Source{Tools: Patterns{Allow: []string{"*"}}})
	if err != nil {
		b.Fatal(err)
	}
	entry := policy.Bind(Capability{Kind: Tool, Server: "stripe", Name: "create_refund"})
	limits := []*limit{mustLimit(b, refunds())}
	for b.Loop() {
		run := newEvaluation(entry, Call{Args: []byte(`{"amount": 19.99}`)})
		if _, d := chargesOf(run, limits, alice); d.Action != Allow {
			b.Fatal(d)
		}
		run.release()
	}
}
