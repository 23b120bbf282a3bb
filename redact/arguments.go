package redact

// Checked is what was found in the arguments of a call.
type Checked struct {
	Text    []byte // with what is to be masked masked, and all finds if the verdict is Deny; the same bytes if there is nothing
	Verdict Verdict
	Finds   []Find
}

// LooksAt reports whether Arguments looks for anything in what goes to a tool.
func (r *Redactor) LooksAt(tool string) bool {
	w := r.settings().wantedArguments(tool)
	return w.any()
}

// Arguments looks for what must not go to a tool: in the arguments of a call, a JSON value,
// as Options.Arguments say for the tool. An error means that the call is to be refused.
func (r *Redactor) Arguments(raw []byte, tool string) (Checked, error) {
	set := r.settings()
	done := Checked{Text: raw, Verdict: AllowValues}
	w := set.wantedArguments(tool)
	if !w.any() {
		return done, nil
	}
	s := newScan(set, Scope{})
	defer s.release()
	s.wants, s.until = w, set.limit(len(raw))
	s.verdict = func(d Detector, typ string) Verdict { return set.verdict(tool, d, typ) }
	if err := s.run(raw, true); err != nil {
		return Checked{}, err
	}
	var masked []hit
	for i := range s.hits {
		h := &s.hits[i]
		v := s.verdict(h.detector, h.typ)
		for _, f := range h.inner() {
			v = stricterVerdict(v, s.verdict(f.Detector, f.Type))
			done.Finds = append(done.Finds, Find{f.Detector, f.Type, h.start, h.end, Mask})
		}
		if h.detector != detectEncoded {
			done.Finds = append(done.Finds, h.find(h.start, h.end))
		}
		done.Verdict = stricterVerdict(done.Verdict, v)
		if v == MaskFinds {
			masked = append(masked, *h)
		}
	}
	done.Finds = distinct(done.Finds)
	if done.Verdict != Deny {
		s.hits = masked
	}
	if len(s.hits) == 0 {
		return done, nil
	}
	var err error
	done.Text, err = s.applyJSON(raw)
	return done, err
}

func stricterVerdict(a, b Verdict) Verdict {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// wantedArguments returns which detectors can have finds in the arguments for a tool.
func (s *settings) wantedArguments(tool string) (w wants) {
	for i := range s.options.Arguments {
		a := &s.options.Arguments[i]
		if !matchesAny(a.Tools, tool) {
			continue
		}
		w.secrets = w.secrets || checks(a.Secrets)
		w.custom = w.custom || checks(a.Custom) && len(s.custom) > 0
		for _, v := range a.PII {
			w.pii = w.pii || checks(v)
		}
	}
	if !w.secrets && !w.pii && !w.custom {
		return wants{}
	}
	w.everything = true
	return w
}

func checks(v Verdict) bool { return v != "" && v != AllowValues }

// verdict returns what a find in the arguments for a tool means.
func (s *settings) verdict(tool string, d Detector, typ string) Verdict {
	v := AllowValues
	for i := range s.options.Arguments {
		a := &s.options.Arguments[i]
		if !matchesAny(a.Tools, tool) {
			continue
		}
		switch d {
		case DetectSecret:
			v = stricterVerdict(v, a.Secrets)
		case DetectPII:
			v = stricterVerdict(v, of(a.PII, typ))
		case DetectCustom:
			v = stricterVerdict(v, a.Custom)
		}
	}
	return v
}
