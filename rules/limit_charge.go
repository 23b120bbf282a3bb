package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mcpfirewall/mcpfirewall/internal/state"
)

// An Owner is whom a call counts for. An empty name fails the limits that
// count by it.
type Owner struct {
	Principal string
	Session   string
}

// Charges is what the limits that speak of a call take for it. The zero value
// takes nothing.
type Charges struct {
	limits  []*limit // charged[i] is what limits[i] takes
	charged []state.Charge
}

// sortLimits makes which of several limits is reported independent of the file.
func sortLimits(limits []*limit) {
	slices.SortFunc(limits, func(a, b *limit) int {
		if a.then != b.then {
			return int(b.then) - int(a.then)
		}
		return strings.Compare(a.name, b.name)
	})
}

// chargesOf evaluates limits for a call. The decision is Deny, with Failed set,
// if one of them cannot be evaluated, and Allow otherwise.
func chargesOf(run *evaluation, limits []*limit, who Owner) (Charges, Decision) {
	var c Charges
	for _, l := range limits {
		charge, counts, err := l.chargeFor(run, who)
		if err != nil {
			err.Rule = l.name
			failed := l.failed
			failed.Failed = err
			return Charges{}, failed
		}
		if counts {
			c.limits = append(c.limits, l)
			c.charged = append(c.charged, charge)
		}
	}
	return c, Decision{Action: Allow}
}

// chargeFor is what the limit takes for a call; counts is false if it does not
// concern the call.
func (l *limit) chargeFor(run *evaluation, who Owner) (charge state.Charge, counts bool, err *RunError) {
	charge = l.charge
	if l.when != nil {
		if counts, err = run.eval(l.when); err != nil || !counts {
			return charge, false, err
		}
	}
	charge.Amount = state.Unit
	if l.sum != nil {
		v, err := run.evalValue(l.sum)
		if err != nil {
			return charge, false, err
		}
		a, fault := amount(v)
		if fault != nil {
			return charge, false, &RunError{Reason: fault.Error()}
		}
		charge.Amount = a
	}
	key, err := l.keyFor(run, who)
	charge.Key = key
	return charge, true, err
}

func (l *limit) keyFor(run *evaluation, who Owner) (string, *RunError) {
	key := ""
	switch l.byKind {
	case "principal":
		key = who.Principal
	case "session":
		key = who.Session
	case "tool":
		if run.entry.name != "" {
			key = run.entry.server + "." + run.entry.name
		}
	default:
		v, err := run.evalValue(l.by)
		if err != nil {
			return "", err
		}
		text, fault := keyText(v)
		if fault != nil {
			return "", &RunError{Reason: fault.Error()}
		}
		return "value:" + text, nil
	}
	if key == "" {
		return "", &RunError{Reason: "the limit counts by " + l.byKind + ", and the call has none"}
	}
	return l.byKind + ":" + key, nil
}

// Empty reports whether no limit concerns the call, so that no store is needed.
func (c Charges) Empty() bool { return len(c.charged) == 0 }

// Reserve takes the charges, all or none. The decision is Allow if they were
// taken, and otherwise the strictest of the limits that are exceeded: it never
// loosens the decision of the rules. Call it right before the call is sent, after
// a person approved it if that is needed; approved says that one did,
// and lets the call exceed limits that ask. The id is that of the exchange:
// the same again, for a call that is sent again in its course, counts once.
//
// If the call is then not sent, and nothing was sent before under this id, the caller
// gives the charges back with store.Release(ctx, id).
func (c Charges) Reserve(ctx context.Context, store state.Store, now time.Time, id string, approved bool) Decision {
	if c.Empty() {
		return Decision{Action: Allow}
	}
	charged := slices.Clone(c.charged)
	for i, l := range c.limits {
		charged[i].Over = approved && l.then == Ask
	}
	verdict, err := store.Reserve(ctx, now, id, charged)
	if err != nil {
		return c.unavailable(err)
	}
	return c.decide(verdict.Exceeded, now)
}

// Check is the decision that Reserve would make now for a call that nobody
// approved, and takes nothing. It is for refusing a call before a person is
// asked about it in vain.
func (c Charges) Check(ctx context.Context, store state.Store, now time.Time) Decision {
	if c.Empty() {
		return Decision{Action: Allow}
	}
	rooms, err := store.Peek(ctx, now, c.charged)
	if err != nil {
		return c.unavailable(err)
	}
	var exceeded []state.Excess
	for i, room := range rooms {
		if !room.Fits {
			exceeded = append(exceeded, state.Excess{Charge: i, Room: room})
		}
	}
	return c.decide(exceeded, now)
}

// Standing is how a limit stands for a call.
type Standing struct {
	Limit             string
	Then              Action
	Amount, Max, Left string    // decimals; Amount is what the call counts
	Per               string    // "24h", "day"
	Fits              bool      // Amount fits into Left
	Resets            time.Time // as in [state.Room]
}

// Standings says how each limit that concerns the call stands, and takes nothing.
func (c Charges) Standings(ctx context.Context, store state.Store, now time.Time) ([]Standing, error) {
	if c.Empty() {
		return nil, nil
	}
	rooms, err := store.Peek(ctx, now, c.charged)
	if err != nil {
		return nil, fmt.Errorf("reading what is left of the limits: %w", err)
	}
	out := make([]Standing, len(rooms))
	for i, room := range rooms {
		l, charge := c.limits[i], c.charged[i]
		out[i] = Standing{
			Limit: l.name, Then: l.then, Amount: formatAmount(charge.Amount), Max: formatAmount(charge.Max),
			Left: formatAmount(room.Left), Per: charge.Window.String(), Fits: room.Fits, Resets: room.Resets,
		}
	}
	return out, nil
}

// unavailable denies: what cannot be counted does not pass.
func (c Charges) unavailable(err error) Decision {
	l := c.limits[0]
	d := newDecision(Deny, l.name, fmt.Sprintf("The limit %q could not be checked, because the firewall's record of what is used is not available, so the call is refused. "+
		"Try again later; if it lasts, the firewall's log says what a person has to mend.", l.name))
	d.Failed = fmt.Errorf("counting toward the limit %q: %w", l.name, err)
	return d
}

// decide turns what is exceeded into a decision. All exceeded limits of the
// decision's action are in its message, since a person who approves, approves all.
func (c Charges) decide(exceeded []state.Excess, now time.Time) Decision {
	action := Allow
	for _, e := range exceeded {
		action = max(action, c.limits[e.Charge].then)
	}
	if action == Allow {
		return Decision{Action: Allow}
	}
	by, texts := "", []string(nil)
	for _, e := range exceeded {
		l := c.limits[e.Charge]
		if l.then != action {
			continue
		}
		if by == "" {
			by = l.name
		}
		if len(texts) < 5 {
			texts = append(texts, l.refusal(c.charged[e.Charge].Amount, e.Room, now))
		}
	}
	if action == Ask {
		texts = append(texts, "A person has to approve this call.")
	}
	return newDecision(action, by, strings.Join(texts, " "))
}

// refusal says what is left and when it resets:
//
//	The limit "refunds a day" allows 200 per 24h for you. This call counts 50;
//	30 is left. There will be enough at 14:05 UTC (in 3 h).
func (l *limit) refusal(amount int64, room state.Room, now time.Time) string {
	var b strings.Builder
	if l.message != "" {
		b.WriteString(l.message + " ")
	}
	fmt.Fprintf(&b, "The limit %q allows %s.", l.name, l.allows)
	left := formatAmount(room.Left) + " is left"
	if room.Left == 0 {
		left = "nothing is left"
	}
	if l.sum != nil {
		fmt.Fprintf(&b, " This call counts %s; %s.", formatAmount(amount), left)
	} else {
		fmt.Fprintf(&b, " %s.", strings.ToUpper(left[:1])+left[1:])
	}
	switch {
	case room.Resets.IsZero():
		b.WriteString(" It is more than the limit ever allows in one call.")
	case l.charge.Window.Period != "":
		fmt.Fprintf(&b, " It resets %s.", moment(room.Resets, now, l.zone))
	default:
		fmt.Fprintf(&b, " There will be enough %s.", moment(room.Resets, now, l.zone))
	}
	return b.String()
}

// moment says a time so that a person and a model can wait for it. It is
// rounded up: at the time it says, the moment has come.
func moment(t, now time.Time, zone *time.Location) string {
	d := t.Sub(now)
	unit, layout := time.Minute, "15:04 MST"
	if d < 10*time.Minute {
		unit, layout = time.Second, "15:04:05 MST"
	}
	if rounded := t.Truncate(unit); rounded.Before(t) {
		t = rounded.Add(unit)
	}
	local := t.In(zone)
	text := "at " + local.Format(layout)
	if local.Format(time.DateOnly) != now.In(zone).Format(time.DateOnly) {
		text = "on " + local.Format("2 January 2006") + " " + text
	}
	return text + " (in " + about(d) + ")"
}

// about is a duration in its largest unit, rounded up.
func about(d time.Duration) string {
	up := func(unit time.Duration) int64 { return int64((d + unit - 1) / unit) }
	switch {
	case d <= time.Second:
		return "1 s"
	case d <= 2*time.Minute:
		return fmt.Sprintf("%d s", up(time.Second))
	case d <= 2*time.Hour:
		return fmt.Sprintf("%d min", up(time.Minute))
	case d <= 48*time.Hour:
		return fmt.Sprintf("%d h", up(time.Hour))
	}
	return fmt.Sprintf("%d days", up(24*time.Hour))
}
