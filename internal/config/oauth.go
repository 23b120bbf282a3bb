package config

import (
	"slices"
	"strings"
)

// validateOAuth checks that the keys of the section go together.
func (d *decoder) validateOAuth(s *Server, path string) {
	o := s.OAuth
	has := func(key string) bool {
		_, ok := d.cfg.nodes[join(path, key)]
		return ok || d.misspelt[join(path, key)]
	}
	section := d.cfg.nodes[path].key
	fail := func(key, why string) {
		at := section
		if p := d.cfg.nodes[join(path, key)]; p.key != nil {
			at = p.key
		}
		d.failNode(at, "", "%s %s", join(path, key), why)
	}
	for name := range s.Headers {
		if strings.EqualFold(name, "authorization") {
			d.failNode(section, "", "%s and a header Authorization cannot both be: the access token goes into that header", path)
		}
	}
	switch refresh := has("refresh_token"); {
	case o.Grant == "refresh_token" && !refresh:
		fail("refresh_token", "is missing: the grant refresh_token needs one")
	case o.Grant == "client_credentials" && refresh:
		fail("refresh_token", "makes sense only with grant: refresh_token")
	}
	secret, key := has("client_secret"), has("private_key")
	switch {
	case secret && key:
		fail("private_key", "and client_secret cannot both be: a client proves itself by one of them")
	case (o.Auth == "basic" || o.Auth == "post") && !secret:
		fail("client_secret", "is missing: auth: "+o.Auth+" needs one")
	case o.Auth == "private_key_jwt" && !key:
		fail("private_key", "is missing: auth: private_key_jwt needs one")
	case (o.Auth == "none" || o.Auth == "basic" || o.Auth == "post") && key:
		fail("private_key", "makes sense only with auth: private_key_jwt")
	case o.Auth == "none" && secret:
		fail("client_secret", "is never sent with auth: none")
	case o.Grant == "client_credentials" && !secret && !key && o.Auth != "none":
		fail("client_secret", "is missing: the grant client_credentials needs it, or a private_key")
	case o.Grant == "client_credentials" && o.Auth == "none":
		fail("auth", "cannot be none with the grant client_credentials, by which anybody could get a token")
	}
}

// References returns the texts of the section that may hold references, as
// [Server.References] does; the receiver may be nil. They are not among those, since they
// are resolved for each token request and not when the server is connected.
func (o *OAuth) References() []Reference {
	if o == nil {
		return nil
	}
	all := []Reference{{"oauth.client_id", o.ClientID}, {"oauth.client_secret", o.ClientSecret},
		{"oauth.private_key", o.PrivateKey}, {"oauth.refresh_token", o.RefreshToken}}
	return slices.DeleteFunc(all, func(r Reference) bool { return r.Text == "" })
}
