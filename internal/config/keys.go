package config

import (
	"reflect"
	"strings"
)

// keyDoc is what people read about a key, in their editor and on the reference
// page.
type keyDoc struct {
	text    string
	example string // as it would stand after the key, in one line
	deflt   string // the default in words, where the tag cannot say it
}

// docs holds the texts, by the Go type of the section and the key in it.
var docs = map[string]keyDoc{
	"Config.version":   {text: "The version of the file's format.", example: "1"},
	"Config.naming":    {text: "How capabilities are called toward the client. `always`: `server__name`. `never`: by the server's own name; capabilities that collide are all withheld. `auto`: `always` with two or more servers, `never` with one. Resources keep their URI.", example: "always"},
	"Config.servers":   {text: "The MCP servers behind the firewall, by name. A name consists of a-z, 0-9 and -.", example: "{ demo: { command: mcpfirewall, args: [demo, server] } }"},
	"Config.tools":     {text: "Which tools the agent has, as patterns over `server.tool`.", example: "{ allow: [\"github.get_*\"], ask: [\"github.create_*\"], deny: [\"*.delete_*\"] }"},
	"Config.resources": {text: "Which resources and resource templates the agent has, as patterns over `server.uri`.", example: "{ allow: [\"docs.file:///srv/docs/*\"] }"},
	"Config.prompts":   {text: "Which prompts the agent has, as patterns over `server.prompt`.", example: "{ default: allow }"},
	"Config.rules":     {text: "Conditions on calls. A rule can only tighten what the patterns allow; the order of rules means nothing.", example: "[{ name: refunds above 50 need a person, tools: [\"stripe.create_refund\"], when: args.amount > 5000, then: ask }]"},
	"Config.limits":    {text: "How many calls there may be in a time, or what an argument of theirs may sum up to. A limit can only tighten what the patterns allow.", example: "[{ name: refunds a day, tools: [\"stripe.create_refund\"], sum: args.amount, max: 20000, per: 24h }]"},
	"Config.labels":    {text: "What results carry and what calls do, as patterns over `server.tool`, `server.uri` or `server.prompt`. Rules read the labels of the capability as `tool.labels`, and those of all results so far as `session.labels`. Further labels of your own may stand beside the four known ones; a name consists of a-z, 0-9, _ and -.", example: "{ untrusted: [\"web.*\"], private: [\"crm.*\"], external: [\"mail.send\"], payroll: [\"hr.get_salary*\"] }"},
	"Config.redact":    {text: "What is taken out of everything that leaves for the client, the log and the record, and what may not be in arguments. Values that references stand for are always masked. See [redaction.md](redaction.md).", example: "{ pii: { email: tokenize, \"*\": mask }, restore: [\"mail.send\"] }"},
	"Config.use":       {text: "Ready-made rules to add, by name: see [presets](presets.md). They can only tighten what the file says.", example: "[ssrf, paths]"},
	"Config.methods":   {text: "Protocol methods that are relayed although the firewall does not know them."},
	"Config.approvals": {text: "How a person is asked when the decision is `ask`."},
	"Config.vault":     {text: "The HashiCorp Vault from which `${vault:MOUNT/PATH#FIELD}` is read. What is not set here is taken from the same places as by Vault's own command line."},
	"Config.audit":     {text: "Where the record of every decision goes."},
	"Config.state":     {text: "Where the firewall keeps what must outlive it."},
	"Config.listen":    {text: "The HTTP front, for `mcpfirewall serve`."},

	"Server.command":           {text: "The program of a server that is started here and spoken to over stdio. A name without a slash is looked up in PATH, and `mcpfirewall` is the running program itself. Either `command` or `url` is needed.", example: "npx"},
	"Server.args":              {text: "Its arguments. May hold references.", example: "[\"-y\", \"@modelcontextprotocol/server-github\"]"},
	"Server.env":               {text: "Its environment variables, besides a small fixed set (PATH, HOME, LANG, TMPDIR and their like); nothing else is passed on. May hold references.", example: "{ GITHUB_PERSONAL_ACCESS_TOKEN: \"${vault:secret/github#token}\" }"},
	"Server.cwd":               {text: "The folder that it is started in.", example: "~/projects", deflt: "the folder of this file"},
	"Server.url":               {text: "The address of a server that is reached over HTTP. May hold references.", example: "https://crm.example.com/mcp"},
	"Server.transport":         {text: "`http` for Streamable HTTP, `sse` for the older HTTP with SSE.", example: "sse", deflt: "http"},
	"Server.headers":           {text: "HTTP headers to send with every request. May hold references.", example: "{ Authorization: \"Bearer ${vault:secret/crm#api_key}\" }"},
	"Server.oauth":             {text: "How the firewall gets access tokens for the server, where it wants OAuth: see [oauth.md](oauth.md).", example: "{ grant: client_credentials, client_id: mcpfirewall, client_secret: \"${vault:secret/crm#client_secret}\", issuer: \"https://auth.example.com\" }"},
	"Server.timeout":           {text: "How long a request to this server may take.", example: "2m"},
	"Server.sampling":          {text: "Whether the server may ask the client's model for text (sampling).", example: "allow"},
	"Server.elicitation_hosts": {text: "Hosts whose https URLs the server may ask the user to open; none if absent. The name must match exactly.", example: "[\"login.example.com\"]"},
	"Server.elicitation":       {text: "Whether the server may ask the user for input (elicitation).", example: "deny"},
	"Server.roots":             {text: "Whether the server may ask which folders the client works in (roots).", example: "deny"},
	"Server.shared":            {text: "Whether all sessions of `mcpfirewall serve` use one connection to this server. Otherwise each has its own.", example: "true"},
	"Server.arguments":         {text: "What happens to an argument that a tool's schema does not declare. `declared`: the call is refused. `open`: it is passed on, and so is one of a prompt. A list of patterns over tool names: it is passed on for these tools.", example: "[\"search_*\"]"},
	"Server.max_message":       {text: "The largest message that is read from this server.", example: "8MiB"},
	"Server.inject":            {text: "Arguments that the firewall adds to calls, such as a credential: the agent does not see them in the tools' schemas and cannot set them, and no rule, approval or record holds them. An argument stands for every tool that declares it at the top level of its schema; under a pattern over tool names, for the tools that match it only, where it wins. May hold references. See [credentials.md](credentials.md).", example: "{ api_key: \"${vault:secret/search#key}\", \"admin_*\": { api_key: \"${vault:secret/search#admin_key}\" } }"},
	"Server.protocol":          {text: "Which protocol era the server is spoken to in. `modern`: 2026-07-28 and later. `legacy`: up to 2025-11-25. `auto`: `modern` is tried first; naming the era saves the attempt with servers that never answer it.", example: "legacy"},

	"OAuth.grant":         {text: "The grant of OAuth. `client_credentials`: the firewall is the client. `refresh_token`: a person has authorized once, and the firewall goes on with the refresh token of then.", example: "client_credentials"},
	"OAuth.client_id":     {text: "The client's id at the authorization server. May hold references.", example: "\"${vault:secret/crm#client_id}\""},
	"OAuth.client_secret": {text: "The client's secret, as a reference.", example: "\"${vault:secret/crm#client_secret}\""},
	"OAuth.private_key":   {text: "The client's private key in PEM form, as a reference, for clients that have one instead of a secret.", example: "\"${vault:secret/crm#private_key}\""},
	"OAuth.refresh_token": {text: "The refresh token, as a reference. When the authorization server gives a new one, it is written to the same place, which only a KV engine of version 2 in Vault allows.", example: "\"${vault:secret/crm#refresh_token}\""},
	"OAuth.scopes":        {text: "The scopes that are requested. The server cannot make them more.", example: "[\"contacts:read\"]", deflt: "those that the client has by default"},
	"OAuth.issuer":        {text: "The authorization server that the credentials were issued by, written exactly as it writes itself. They are sent to no other.", example: "https://auth.example.com", deflt: "the one that the server names, if it is on the server's own origin"},
	"OAuth.token_url":     {text: "The address of the token endpoint. Nothing is discovered then.", example: "https://auth.example.com/token"},
	"OAuth.resource":      {text: "What the tokens are for (resource indicator), or `none` for authorization servers that refuse requests with one.", example: "https://crm.example.com", deflt: "what the server's metadata says, or its `url`"},
	"OAuth.auth":          {text: "How the client proves itself at the token endpoint.", example: "post", deflt: "what fits the credentials and the authorization server"},
	"OAuth.allow_private": {text: "Whether discovery may lead to other addresses on private networks than those of `url` and `issuer`, and there to http.", example: "true"},

	"Patterns.default": {text: "What holds where no pattern matches.", example: "ask"},
	"Patterns.allow":   {text: "What may be used.", example: "[\"github.get_*\", \"mail.*\"]"},
	"Patterns.ask":     {text: "What may be used once a person has approved it. Wins over `allow`.", example: "[\"github.create_*\"]"},
	"Patterns.deny":    {text: "What may not be used, and is hidden. Wins over `ask` and `allow`; upper and lower case make no difference.", example: "[\"*.delete_*\"]"},

	"Tools.narrow": {text: "Specific tools that are made of broad ones, by name. The broad ones are hidden. In patterns each goes by its own name under the server of its `from`. A name consists of A-Z, a-z, 0-9, _, . and -.", example: "{ order_status: { from: db.query, description: The status of one order., input: { id: { type: integer } }, args: { sql: \"'SELECT status FROM orders WHERE id = $1'\", params: \"[input.id]\" } } }"},

	"Narrow.from":        {text: "The tool that is called, with its server: `server.tool`.", example: "db.query"},
	"Narrow.title":       {text: "The name that people see.", example: "Order status"},
	"Narrow.description": {text: "What the agent reads about the tool.", example: "The status of one order."},
	"Narrow.input":       {text: "The arguments that the agent gives, each with its JSON Schema (2020-12, without references). A keyword that does not exist is an error, and so is a `format` without a `pattern`, which would restrict nothing.", example: "{ id: { type: integer, minimum: 1 }, state: { enum: [open, paid], default: open } }"},
	"Narrow.required":    {text: "The arguments that must be given.", example: "[id]", deflt: "those without a `default`"},
	"Narrow.args":        {text: "The arguments of the tool that is called, each an expression of the [expr language](https://expr-lang.org/docs/language-definition) over `input`. A fixed text is in quotes of its own.", example: "{ sql: \"'SELECT status FROM orders WHERE id = $1'\", params: \"[input.id]\" }"},
	"Narrow.output":      {text: "What the agent gets of the result, an expression over `result` and `input`.", example: "\"result.json.rows[0].status\"", deflt: "the result as it is"},

	"Rule.name":    {text: "What the rule is called in messages and records. Unique among rules and limits.", example: "mail stays inside"},
	"Rule.tools":   {text: "The tools that the rule is about, as patterns over `server.tool`.", example: "[\"mail.send\"]"},
	"Rule.on":      {text: "What the rule judges. `call`: a call, before it is sent. `result`: what came back, which the condition reads as `result.text`, `result.json` and `result.isError`. A rule on results sees `result.text` (every string that the agent may see: texts, embedded resources, links, structured content), `result.json` (the structured content, or what the text is if it is JSON) and `result.isError`; errors of the server are judged as well.", example: "result"},
	"Rule.when":    {text: "The condition, an expression of the [expr language](https://expr-lang.org/docs/language-definition) over `tool`, `args`, `session`, `user` and `client`, with the functions of [rules.md](rules.md). An expression that fails denies the call, or withholds the result.", example: "not (args.to endsWith \"@example.com\")", deflt: "always"},
	"Rule.then":    {text: "What happens where the condition holds: a person is asked, or the call is denied. With `on: result`, `ask` asks whether the agent may have the result, and `deny` withholds it; the call was made by then.", example: "deny"},
	"Rule.message": {text: "What the agent is told, so that it can do better.", example: "Send mail to example.com only."},

	"Limit.name":    {text: "What the limit is called in messages and records. Unique among rules and limits.", example: "refunds a day"},
	"Limit.tools":   {text: "The tools that the limit is about, as patterns over `server.tool`.", example: "[\"stripe.create_refund\"]"},
	"Limit.when":    {text: "The calls that count, as a condition like that of a rule.", example: "args.currency == \"EUR\"", deflt: "all"},
	"Limit.sum":     {text: "What is added up: an expression that gives a number. A call without one, or with a negative one, is denied.", example: "args.amount", deflt: "calls are counted"},
	"Limit.max":     {text: "The most that there may be in the time. Exact: a sum of money is never rounded.", example: "20000"},
	"Limit.per":     {text: "The time: a duration, which slides, with days (`7d`) as a unit too, from 1s to 366d; or `hour`, `day`, `week` (from Monday) or `month` of the calendar.", example: "24h"},
	"Limit.by":      {text: "What has a count of its own: each `principal`, `session` or `tool`, or each value of an expression.", example: "session"},
	"Limit.then":    {text: "What happens to a call that would exceed the limit.", example: "ask"},
	"Limit.message": {text: "What the agent is told besides what is left and when it resets.", example: "Collect small refunds into one."},
	"Limit.zone":    {text: "The time zone in which a period of the calendar begins.", example: "Europe/Berlin", deflt: "the system's"},

	"Labels.untrusted": {text: "Results hold text written by strangers. Values that only they showed are tainted, and the session is `untrusted` from then on. `pattern:result.FIELD` names one part of the results.", example: "[\"web.*\", \"tracker.get_issue:result.comments.body\"]"},
	"Labels.private":   {text: "Results hold data that must not leave. The session is `private` from then on.", example: "[\"mail.*\", \"crm.*\"]"},
	"Labels.external":  {text: "Calls carry data out.", example: "[\"mail.send\", \"web.*\"]"},
	"Labels.trusted":   {text: "Results show values that may be used as destinations, `trusted(v)` in rules: each value of a list or mapping as a whole, every word of prose. `pattern:result.FIELD` names the part of the results that does.", example: "[\"crm.get_contact:result.email\"]"},

	"Redact.secrets":   {text: "What happens to a secret that is found by what it looks like. `mask`: `[redacted:RULE]` stands in its place. `tokenize`: a stand-in that the tools under `restore` get the value of. `hash`: one that only shows that two values are equal. `block`: the whole result is withheld. `allow`: it stays.", example: "block"},
	"Redact.rules":     {text: "The same for single rules of the detector of secrets, by name.", example: "{ generic-api-key: allow }"},
	"Redact.pii":       {text: "What happens to personal data: one word for all, or one for each type; `\"*\"` stands for the types that are not named. [redaction.md](redaction.md) lists the types.", example: "{ email: tokenize, phone: mask, credit_card: mask, iban: tokenize, ssn: mask }", deflt: "not looked for"},
	"Redact.custom":    {text: "Patterns of your own.", example: "[{ name: employee id, pattern: 'EMP-\\d{6}', then: tokenize }]"},
	"Redact.allow":     {text: "What is no find, whatever finds it. Values that references stand for are masked all the same."},
	"Redact.tools":     {text: "Other actions for the results of some tools; what is not said here is as for all. Where several items match, the strictest holds: `block`, `mask`, `hash`, `tokenize`, `allow`.", example: "[{ tools: [\"crm.*\"], pii: { email: allow }, secrets: block }]"},
	"Redact.restore":   {text: "The tools that get the value where the agent passes a stand-in as an argument, as patterns over `server.tool`; no others do.", example: "[\"mail.send\"]"},
	"Redact.arguments": {text: "What becomes of a call to some tools, prompts or resources that holds a secret or personal data. Where several items match, the strictest holds.", example: "[{ tools: [\"mail.send\"], secrets: deny, pii: { iban: ask } }]"},
	"Redact.time":      {text: "How long the look at one text may take, before 100 ms are added for each MiB. What takes longer is withheld.", example: "5s"},

	"RedactCustom.name":    {text: "What masks and reports call it.", example: "employee id"},
	"RedactCustom.pattern": {text: "The regular expression ([RE2](https://github.com/google/re2/wiki/Syntax)) that it matches, anywhere in a text. It sees whole messages, so `^` and `$` need `(?m)`; `\\b` is the end of a word. Single quotes keep its backslashes.", example: "'EMP-\\d{6}'"},
	"RedactCustom.then":    {text: "What happens to what it matches.", example: "tokenize"},

	"RedactAllow.values":   {text: "Values that are no finds.", example: "[\"support@example.com\"]"},
	"RedactAllow.patterns": {text: "Regular expressions that match all of what is no find.", example: "['.*@example\\.com']"},

	"RedactTools.tools":   {text: "The tools, as patterns over `server.tool`; upper and lower case make no difference.", example: "[\"crm.*\"]"},
	"RedactTools.secrets": {text: "What happens to secrets in their results, whatever the rule.", example: "block"},
	"RedactTools.pii":     {text: "What happens to personal data in them.", example: "{ email: allow }"},
	"RedactTools.custom":  {text: "What happens to what patterns of your own match in them.", example: "mask"},

	"RedactArguments.tools":   {text: "The tools, as patterns over `server.tool`, and prompts and resources likewise; upper and lower case make no difference.", example: "[\"mail.send\"]"},
	"RedactArguments.secrets": {text: "What a secret means. `deny`: the call is refused. `ask`: a person is asked. `mask`: the tool gets the mask. `allow`: nothing.", example: "deny", deflt: "not looked for"},
	"RedactArguments.pii":     {text: "What personal data mean, for all types or by type.", example: "{ iban: ask, \"*\": mask }", deflt: "not looked for"},
	"RedactArguments.custom":  {text: "What patterns of your own mean.", example: "mask", deflt: "not looked for"},

	"Methods.allow": {text: "Names of methods, written out: requests of the client, and notifications of client and server, where there is one server. No policy decides on them. A server's own requests to the client are not relayed: what they would ask of a person cannot be judged.", example: "[\"custom/search\"]"},

	"Approvals.via":     {text: "The ways to ask. `elicitation` asks in the client itself.", example: "[elicitation]"},
	"Approvals.timeout": {text: "How long an answer is waited for. Then the call is denied.", example: "10m"},

	"Vault.address":         {text: "Vault's address.", example: "https://vault.example.com:8200", deflt: "$VAULT_ADDR"},
	"Vault.namespace":       {text: "The namespace (Vault Enterprise).", example: "team-a", deflt: "$VAULT_NAMESPACE"},
	"Vault.ca_cert":         {text: "A file with the certificate of the authority that signed Vault's certificate (PEM).", example: "~/vault-ca.pem", deflt: "$VAULT_CACERT"},
	"Vault.ca_path":         {text: "A folder with such files. `ca_cert` wins.", example: "~/vault-ca", deflt: "$VAULT_CAPATH"},
	"Vault.client_cert":     {text: "A file with the certificate that the firewall shows Vault over TLS (PEM). It and its key are read for each new connection.", example: "~/firewall.pem", deflt: "$VAULT_CLIENT_CERT"},
	"Vault.client_key":      {text: "The file with its private key (PEM).", example: "~/firewall-key.pem", deflt: "$VAULT_CLIENT_KEY"},
	"Vault.tls_server_name": {text: "The name that Vault's certificate must have.", example: "vault.example.com", deflt: "$VAULT_TLS_SERVER_NAME, then the host of the address"},
	"Vault.auth":            {text: "How the firewall proves to Vault who it is, see [Vault](vault.md). What is a secret is a reference such as `${env:NAME}` or `${file:PATH}`, which is resolved again at each login.", example: "{ method: token, token: \"${file:/run/secrets/vault-token}\" }"},

	"VaultAuth.method":            {text: "The auth method. `jwt` is also for mounts of type oidc, where the JWT is there already.", example: "token"},
	"VaultAuth.mount":             {text: "Where the method is mounted, without `auth/`. Not for `token`.", example: "team/approle", deflt: "the method's name"},
	"VaultAuth.namespace":         {text: "The namespace of the method (Vault Enterprise).", example: "admin", deflt: "`vault.namespace`"},
	"VaultAuth.token":             {text: "Where the token comes from, for `token`.", example: "\"${env:MY_VAULT_TOKEN}\"", deflt: "$VAULT_TOKEN, then what `vault login` left"},
	"VaultAuth.role":              {text: "The role: needed for `kubernetes`, optional for `jwt` and `cert`. For `approle` with a wrapped secret id, the name of the role that it must have been made for.", example: "mcpfirewall"},
	"VaultAuth.role_id":           {text: "The role id, for `approle`. May hold references.", example: "59d6d1ca-47bb-4e7e-a40b-8be3bc5a0ba8"},
	"VaultAuth.secret_id":         {text: "Where the secret id comes from, for `approle`.", example: "\"${file:/run/secrets/vault-secret-id}\"", deflt: "none: the role demands none"},
	"VaultAuth.secret_id_wrapped": {text: "`true`: what `secret_id` refers to is a wrapping token. It is unwrapped once, after a check that it was made where secret ids are.", example: "true"},
	"VaultAuth.jwt":               {text: "Where the JWT comes from, for `jwt`, and for `kubernetes` where it is not the pod's own.", example: "\"${file:/run/secrets/vault-jwt}\"", deflt: "for `kubernetes`, the service account's token of the pod"},
	"VaultAuth.username":          {text: "The user name, for `userpass`. May hold references.", example: "mcpfirewall"},
	"VaultAuth.password":          {text: "Where the password comes from, for `userpass`.", example: "\"${env:VAULT_PASSWORD}\""},

	"Audit.file": {text: "The file that gets one JSON line per decision and event. Without the record there is no call.", example: "~/mcpfirewall-audit.jsonl", deflt: "audit.jsonl under `state.path`"},

	"State.path": {text: "The folder.", example: "~/.mcpfirewall", deflt: "$XDG_STATE_HOME/mcpfirewall or ~/.local/state/mcpfirewall; ~/Library/Application Support/mcpfirewall on macOS, %LocalAppData%\\mcpfirewall on Windows"},

	"Listen.address":        {text: "The address and port to listen at. One that is not loopback is refused without authentication.", example: "127.0.0.1:9000"},
	"Listen.hosts":          {text: "Names that the Host header may have besides those of loopback.", example: "[\"firewall.example.com\"]"},
	"Listen.origins":        {text: "Web origins that may use the firewall from a browser besides those of loopback.", example: "[\"https://app.example.com\"]"},
	"Listen.max_request":    {text: "The largest message of a client that is read, over HTTP and standard input alike.", example: "1MiB"},
	"Listen.shutdown_grace": {text: "How long calls may go on when the firewall is told to stop; with 0s they are cancelled at once.", example: "30s"},
}

func docOf(f field) keyDoc { return docs[f.section+"."+f.key] }

// Placeholders for names and indexes in the path of a key.
const (
	anyName = "NAME"
	anyItem = "[]"
)

// walkKeys calls visit for every key of the file, each section before its keys.
// Paths are like `servers.NAME.command` and `rules[].when`.
func walkKeys(visit func(path string, f field)) {
	var walk func(section reflect.Type, at string)
	walk = func(section reflect.Type, at string) {
		for _, f := range fieldsOf(section) {
			path := join(at, f.key)
			visit(path, f)
			switch f.kind {
			case kindSection:
				walk(f.elem, path)
			case kindSections:
				walk(f.elem, path+anyItem)
			case kindNamedSections:
				walk(f.elem, path+"."+anyName)
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
}

// homeOf says where in the file a key belongs, "" if nowhere.
func homeOf(key string) string {
	var homes []string
	walkKeys(func(path string, f field) {
		if f.key != key {
			return
		}
		if i := strings.LastIndexByte(path, '.'); i >= 0 {
			homes = append(homes, "under "+path[:i])
		} else {
			homes = append(homes, "at the top of the file")
		}
	})
	return strings.Join(homes, " or ")
}
