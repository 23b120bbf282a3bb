package proxy

import "github.com/mcpfirewall/mcpfirewall/internal/jsonrpc"

// Protocol versions. A modern client states its version in every request, a legacy one
// agrees on it with initialize.
const ModernVersion = "2026-07-28"

// LegacyVersions are the protocol versions with an initialize handshake, newest first.
var LegacyVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// SupportedVersions returns all protocol versions, newest first.
func SupportedVersions() []string { return append([]string{ModernVersion}, LegacyVersions...) }

// method is one row of the table: a method and what is done with it. A method whose
// handler for a direction is missing is refused in that direction.
type method struct {
	name   string
	params *jsonrpc.Names // the names that the specification gives its params

	request func(*Exchange) answer                 // a client asks
	notice  func(*Session, *jsonrpc.Message)       // a client notifies
	demand  func(*serverRequest)                   // a server asks
	news    func(*link, *jsonrpc.Message, *upcall) // a server notifies; with the call it belongs to, or nil
}

var table map[string]*method

func names(n ...string) *jsonrpc.Names { return jsonrpc.NewNames(append(n, "_meta")...) }

// The table is filled here rather than in its declaration because the handlers refer to it.
func init() {
	page := names("cursor")
	rows := []*method{
		{name: "initialize", params: names("protocolVersion", "capabilities", "clientInfo"), request: (*Exchange).initialize},
		{name: "server/discover", params: names(), request: (*Exchange).discover},
		{name: "ping", params: names(), request: (*Exchange).ping, demand: (*serverRequest).ping},
		{name: "notifications/initialized", params: names(), notice: (*Session).initialized},

		{name: "tools/list", params: page, request: (*Exchange).listTools},
		{name: "resources/list", params: page, request: (*Exchange).listResources},
		{name: "resources/templates/list", params: page, request: (*Exchange).listTemplates},
		{name: "prompts/list", params: page, request: (*Exchange).listPrompts},

		{name: "tools/call", params: names("name", "arguments", "inputResponses", "requestState", "task"), request: (*Exchange).callTool},
		{name: "resources/read", params: names("uri", "inputResponses", "requestState"), request: (*Exchange).readResource},
		{name: "prompts/get", params: names("name", "arguments", "inputResponses", "requestState"), request: (*Exchange).getPrompt},
		{name: "completion/complete", params: names("ref", "argument", "context", "inputResponses", "requestState"), request: (*Exchange).complete},

		{name: "resources/subscribe", params: names("uri"), request: (*Exchange).subscribe},
		{name: "resources/unsubscribe", params: names("uri"), request: (*Exchange).unsubscribe},
		{name: "subscriptions/listen", params: names("notifications"), request: (*Exchange).listen},
		{name: "notifications/subscriptions/acknowledged", params: names("notifications"), news: (*link).acknowledged},
		{name: "notifications/tools/list_changed", params: names(), news: (*link).listChanged},
		{name: "notifications/resources/list_changed", params: names(), news: (*link).listChanged},
		{name: "notifications/prompts/list_changed", params: names(), news: (*link).listChanged},
		{name: "notifications/resources/updated", params: names("uri"), news: (*link).resourceUpdated},

		{name: "logging/setLevel", params: names("level"), request: (*Exchange).setLevel},
		{name: "notifications/message", params: names("level", "logger", "data"), news: (*link).logged},
		{name: "notifications/progress", params: names("progressToken", "progress", "total", "message"), notice: (*Session).progressed, news: (*link).progressed},
		{name: "notifications/cancelled", params: names("requestId", "reason"), notice: (*Session).cancelled, news: (*link).cancelled},

		{name: "sampling/createMessage", params: names("messages", "modelPreferences", "systemPrompt", "includeContext", "temperature", "maxTokens", "stopSequences", "metadata", "tools", "toolChoice", "task"), demand: (*serverRequest).question},
		{name: "elicitation/create", params: names("message", "requestedSchema", "mode", "url", "elicitationId", "task"), demand: (*serverRequest).question},
		{name: "notifications/elicitation/complete", params: names("elicitationId"), news: (*link).toGeneral},
		{name: "roots/list", params: names(), demand: (*serverRequest).question},
		{name: "notifications/roots/list_changed", params: names(), notice: (*Session).rootsChanged},

		{name: "tasks/get", params: names("taskId"), request: (*Exchange).task, demand: (*serverRequest).clientTask},
		{name: "tasks/result", params: names("taskId"), request: (*Exchange).task, demand: (*serverRequest).clientTask},
		{name: "tasks/cancel", params: names("taskId"), request: (*Exchange).task, demand: (*serverRequest).clientTask},
		{name: "tasks/update", params: names("taskId", "inputResponses"), request: (*Exchange).task},
		{name: "tasks/list", params: page, request: (*Exchange).listTasks, demand: (*serverRequest).clientTask},
		{name: "notifications/tasks/status", params: taskNames, news: (*link).taskStatus},
		{name: "notifications/tasks", params: taskNames, news: (*link).taskStatus},
	}
	table = make(map[string]*method, len(rows))
	for _, r := range rows {
		table[r.name] = r
	}
}

var taskNames = names("taskId", "status", "statusMessage", "createdAt", "lastUpdatedAt", "ttl", "ttlMs", "pollInterval", "pollIntervalMs", "result", "error", "inputRequests", "resultType")

// resultNames are the names that the specification gives the results and the errors'
// data of all methods. A result with another spelling of one of them is refused, since a
// client that matches names without case would read what was not looked at.
var resultNames = jsonrpc.NewNames("_meta", "resultType", "content", "structuredContent", "isError", "contents", "messages",
	"description", "completion", "inputRequests", "requestState", "task", "taskId", "status", "statusMessage", "result", "error",
	"tasks", "tools", "prompts", "resources", "resourceTemplates", "nextCursor", "ttlMs", "cacheScope",
	"capabilities", "protocolVersion", "serverInfo", "instructions", "supportedVersions")

// The names inside results: of what a content block, a message of a prompt and a completion
// are made of (2025-11-25 and 2026-07-28, schema).
var (
	blockNames = jsonrpc.NewNames("_meta", "type", "text", "data", "mimeType", "uri", "name", "title", "description", "size", "icons",
		"annotations", "resource", "blob", "id", "input", "toolUseId", "content", "structuredContent", "isError")
	messageNames    = jsonrpc.NewNames("role", "content", "_meta")
	completionNames = jsonrpc.NewNames("values", "total", "hasMore")
)

// Keys of _meta.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaClientInfo   = "io.modelcontextprotocol/clientInfo"
	metaClientCaps   = "io.modelcontextprotocol/clientCapabilities"
	metaLogLevel     = "io.modelcontextprotocol/logLevel"
	metaServerInfo   = "io.modelcontextprotocol/serverInfo"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
	metaRelatedTask  = "io.modelcontextprotocol/related-task"
	metaDecision     = "mcpfirewall/decision"
	metaOwnPrefix    = "mcpfirewall/"
	extensionTasks   = "io.modelcontextprotocol/tasks"
)
