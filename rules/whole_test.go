package rules

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// whole is what becomes of a call by patterns, rules and limits together, as the relay puts
// them together, before a person was asked or after one said yes. It takes nothing.
func whole(t *testing.T, p *Policy, c Capability, call Call, store state.Store, now time.Time, approved bool) (Decision, Charges) {
	t.Helper()
	e := p.Bind(c)
	d := e.Decide(call)
	if d.Action == Deny {
		return d, Charges{}
	}
	charges, standing := e.Charges(call, Owner{Principal: "alice", Session: "s"})
	if standing.Action == Allow && !approved {
		standing = charges.Check(context.Background(), store, now)
	}
	if standing.Action > d.Action {
		d = standing
	}
	if d.Action == Ask && approved {
		d.Action = Allow
	}
	if d.Action == Allow {
		// What is reserved is what was checked.
		id := fmt.Sprint("try", now.UnixNano())
		if taken := charges.Reserve(context.Background(), store, now, id, approved); taken.Action == Allow {
			if err := store.Release(context.Background(), id); err != nil {
				t.Fatal(err)
			}
		} else if !approved {
			t.Fatalf("a call that was let pass cannot be counted: %s", plainly(taken))
		} else {
			d = taken
		}
	}
	return d, charges
}

func randomLimits(r *rand.Rand, name string) (limits []Limit) {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	for i := range r.IntN(4) {
		limits = append(limits, Limit{Name: fmt.Sprintf("%s%d", name, i), Tools: []string{pick(pool.patterns...)}, When: pick("", "", "args.n > 1", "len(args.l) > 1", "false"),
			Sum: pick("", "", "args.n", "args.n ?? 1", "len(args.s ?? '')"), Max: pick("1", "3", "7"), Per: pick("1h", "90m", "hour"),
			By: pick("", "", "session", "tool", "args.s", `args.s ?? "none"`), Then: Ask + Action(r.IntN(2))})
	}
	return limits
}

// Nothing that is added to a policy loosens what becomes of a call, at whatever state of
// the limits, and order means nothing.
func TestTheWholeOnlyTightens(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	seen := map[string]int{}
	rounds := 100
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		src := randomSource(r)
		src.Tools.Default, src.Limits = Allow, randomLimits(r, "limit ")
		more, extra := src, randomSource(r)
		for i := range extra.Rules {
			extra.Rules[i].Name = "extra " + extra.Rules[i].Name
		}
		more.Rules = append(append([]Rule{}, src.Rules...), extra.Rules...)
		more.Tools.Deny = append(append([]string{}, src.Tools.Deny...), extra.Tools.Deny...)
		more.Tools.Ask = append(append([]string{}, src.Tools.Ask...), extra.Tools.Ask...)
		more.Limits = append(append([]Limit{}, src.Limits...), randomLimits(r, "another limit ")...)
		shuffled := src
		shuffled.Rules, shuffled.Limits = append([]Rule{}, src.Rules...), append([]Limit{}, src.Limits...)
		r.Shuffle(len(shuffled.Rules), func(i, j int) {
			shuffled.Rules[i], shuffled.Rules[j] = shuffled.Rules[j], shuffled.Rules[i]
		})
		r.Shuffle(len(shuffled.Limits), func(i, j int) {
			shuffled.Limits[i], shuffled.Limits[j] = shuffled.Limits[j], shuffled.Limits[i]
		})
		p, tightened, reordered := mustPolicy(t, src), mustPolicy(t, more), mustPolicy(t, shuffled)
		store, now := newLimitStore(t), limitNow
		often, _ := randomCall(r)
		for step := range 10 {
			now = now.Add(time.Minute)
			c, call := randomCall(r)
			if r.IntN(2) == 0 {
				c, call.Args = often, []byte(pool.args[1]) // which few rules and limits fail on
			}
			for _, approved := range []bool{false, true} {
				d, charges := whole(t, p, c, call, store, now, approved)
				if e, _ := whole(t, tightened, c, call, store, now, approved); e.Action < d.Action {
					t.Fatalf("%+v on top of %+v loosens %s to %s for %+v %s", extra, src, plainly(d), plainly(e), c, call.Args)
				}
				if e, _ := whole(t, reordered, c, call, store, now, approved); plainly(e) != plainly(d) {
					t.Fatalf("another order of %+v decides %s, not %s", src, plainly(e), plainly(d))
				}
				by := "patterns and rules"
				if strings.HasPrefix(d.Rule, "limit ") {
					by = "limits"
				}
				seen[fmt.Sprint(d.Action, " by ", by)]++
				if d.Action != Allow || !approved && r.IntN(4) == 0 {
					continue
				}
				// The call is made: what is added has counted it, too.
				all, failed := tightened.Bind(c).Charges(call, Owner{Principal: "alice", Session: "s"})
				if failed.Action == Allow && !all.Empty() &&
					all.Reserve(context.Background(), store, now, fmt.Sprint(step, approved), approved).Action == Allow {
					break
				}
				if got := charges.Reserve(context.Background(), store, now, fmt.Sprint(step, approved), approved); got.Action != Allow {
					t.Fatalf("a call that was let pass cannot be counted: %s", plainly(got))
				}
				break
			}
		}
	}
	for _, want := range []string{"allow by patterns and rules", "ask by limits", "deny by limits", "ask by patterns and rules", "deny by patterns and rules"} {
		if seen[want] < rounds/10 {
			t.Errorf("only %d times %s", seen[want], want)
		}
	}
}
