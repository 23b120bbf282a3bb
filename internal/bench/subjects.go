package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// names of the subjects, in the order of the columns.
var subjectNames = [...]string{"direct", "relay", "firewall"}

// subject is one of the three that are compared, running.
type subject struct {
	*client
	pid   int // of the subject's own process
	audit string
	stop  []func() error // in this order
}

func (s *subject) end() error {
	var errs []error
	for _, stop := range s.stop {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// subjects starts the three for one transport and era, and connects a client to each.
func (b *bench) subjects(transport string, e era) (list []*subject, err error) {
	defer func() {
		if err != nil {
			for _, s := range list {
				s.end()
			}
		}
	}()
	for _, name := range subjectNames {
		s, err := b.subject(name, transport, e)
		if err != nil {
			return list, fmt.Errorf("%s over %s, %s: %w", name, transport, e, err)
		}
		list = append(list, s)
		if err := s.start(); err != nil {
			return list, fmt.Errorf("%s over %s, %s: %w", name, transport, e, err)
		}
		if name == "firewall" {
			if err := s.checkWorks(); err != nil {
				return list, fmt.Errorf("firewall over %s, %s: %w", transport, e, err)
			}
		}
	}
	return list, nil
}

func (b *bench) subject(name, transport string, e era) (*subject, error) {
	if transport == "http" {
		return b.httpSubject(name, e)
	}
	server := []string{b.self, "serve-stdio", "-era", string(e)}
	s := &subject{client: &client{era: e}}
	command, env := server, os.Environ()
	switch name {
	case "relay":
		command = append([]string{b.self, "relay-stdio"}, server...)
	case "firewall":
		path, audit, err := b.config(b.stdioServer(e))
		if err != nil {
			return nil, err
		}
		command, env, s.audit = []string{b.binary, "run", "--config", path}, b.environ(), audit
	}
	c, err := startStdio(env, command[0], command[1:]...)
	if err != nil {
		return nil, err
	}
	s.conn, s.pid, s.stop = c, c.cmd.Process.Pid, []func() error{c.close}
	return s, nil
}

func (b *bench) httpSubject(name string, e era) (*subject, error) {
	s := &subject{client: &client{era: e}}
	front, err := startHTTP(os.Environ(), b.self, "serve-http", "-era", string(e))
	if err != nil {
		return nil, err
	}
	s.stop = []func() error{front.stop}
	switch server := front.url; name {
	case "relay":
		front, err = startHTTP(os.Environ(), b.self, "relay-http", server)
	case "firewall":
		var path string
		if path, s.audit, err = b.config(httpServer(server)); err == nil {
			front, err = startHTTP(b.environ(), b.binary, "serve", "--config", path, "--listen", "127.0.0.1:0")
		}
	}
	if err != nil {
		s.end()
		return nil, err
	}
	if name != "direct" {
		s.stop = append([]func() error{front.stop}, s.stop...)
	}
	s.conn, s.pid = dial(front.url, e), front.cmd.Process.Pid
	s.stop = append([]func() error{s.conn.close}, s.stop...)
	return s, nil
}

// checkWorks makes sure that what is measured is a firewall: it masks a secret, its rules deny, and it keeps records.
func (s *subject) checkWorks() error {
	text, isError, err := s.say("the token is " + secret(0) + ".")
	if err != nil || isError {
		return fmt.Errorf("calling echo with a secret: %q, %w", text, err)
	}
	if strings.Contains(text, secret(0)) || !strings.HasPrefix(text, "the token is ") {
		return fmt.Errorf("a resolved secret came back as %q", text)
	}
	if text, isError, err = s.say(forbidden); err != nil || !isError {
		return fmt.Errorf("a call that rule %d denies was answered with %q, %w", rulesOnEcho, text, err)
	}
	records, err := os.ReadFile(s.audit)
	if err != nil {
		return fmt.Errorf("reading the audit: %w", err)
	}
	if n := bytes.Count(records, []byte("\n")); n < 3 { // intent and outcome of the one, refusal of the other
		return fmt.Errorf("the audit has %d records after two calls", n)
	}
	if bytes.Contains(records, []byte(secret(0))) {
		return errors.New("the audit holds a resolved secret")
	}
	return nil
}

// rounds makes the calls of all subjects in turns, each turn in another order, so that what else the machine does hits
// all alike. The turn's time goes to the subject's total.
func rounds(list []*subject, n int, turn func(i int, s *subject) error) (total []time.Duration, err error) {
	total = make([]time.Duration, len(list))
	for round := range n {
		for k := range list {
			i := (k + round) % len(list)
			start := time.Now()
			if err := turn(i, list[i]); err != nil {
				return nil, fmt.Errorf("%s: %w", subjectNames[i], err)
			}
			total[i] += time.Since(start)
		}
	}
	return total, nil
}
