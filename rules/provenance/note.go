package provenance

// value notes one word or a part of one, which counts for no more than bound, and returns
// its entry, if one was looked up, and the bound that it sets itself.
func (r *reader) value(x *recall, word []byte, has class, bound kind) (e uint32, limit kind) {
	check := unsent
	if r.vouches() {
		check = unlike
	}
	f := &r.m.spelled
	if r.sent || r.kind == said {
		return r.note(x.hash, word, has, bound)
	}
	if x.fresh < check || check == unlike && !f.spend(x.cuts) {
		cuts := f.cuts
		if r.returned(x.hash, word) {
			return 0, r.standing(x.hash, word, has)
		}
		x.fresh, x.cuts = check, uint16(cuts-f.cuts)
	}
	if bound <= r.kind && x.credited(r) {
		return x.entry, said
	}
	if e = r.credit(x.hash, bound); e != 0 && bound <= r.kind {
		x.credit(r, e)
	}
	return e, said
}

// note notes a value by its hash, and returns what value does.
func (r *reader) note(h uint64, word []byte, has class, bound kind) (e uint32, limit kind) {
	m := r.m
	switch {
	case r.sent:
		m.sent.add(h)
		if has != 0 {
			m.spelled.note(word, has)
		}
	case r.kind == said:
		e = r.credit(h, said)
	case !r.returned(h, word):
		e = r.credit(h, bound)
	default:
		limit = r.standing(h, word, has)
	}
	return e, limit
}

// returned reports whether a value is one that was sent, or an echo where that matters.
func (r *reader) returned(h uint64, word []byte) bool {
	return r.m.sent.has(h) || r.vouches() && r.m.spelled.echo(word)
}

// standing returns the bound that a value sets that was sent.
func (r *reader) standing(h uint64, word []byte, has class) kind {
	if !strong(word, has) {
		return said
	}
	return r.m.standing(r.m.find(h))
}

// credit notes that a value stood where r reads, for no more than bound.
func (r *reader) credit(h uint64, bound kind) (e uint32) {
	k := max(r.kind, bound)
	if k == nowhere || r.dry {
		return 0
	}
	if e = r.m.intern(h, r.kind); e == 0 {
		r.lose()
	}
	r.m.credit(e, k, r.source)
	return e
}
