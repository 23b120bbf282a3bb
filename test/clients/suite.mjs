// suite.mjs URL   the client that the conformance suite's client half starts: it does at URL what the scenario asks for.
// The scenario's name, its context and the version of the protocol come in the environment, as the suite sets them.
// Legacy versions are spoken by the SDK 1.x, modern ones by 2.x.
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';

const url = new URL(process.argv[2]);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const version = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const modern = version >= '2026';

async function connect(capabilities = {}) {
  if (modern) {
    const client = new Client({ name: 'suite', version: '2' }, { capabilities, versionNegotiation: { mode: { pin: version } } });
    await client.connect(new StreamableHTTPClientTransport(url));
    return client;
  }
  const client = new ClientV1({ name: 'suite', version: '1' }, { capabilities });
  if (capabilities.elicitation) client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: {} }));
  await client.connect(new TransportV1(url));
  return client;
}

// A modern request with nothing done for it, for the scenario that looks at what a client does with a result.
let lastID = 0;
async function request(method, params) {
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    'mcp-protocol-version': version,
    'mcp-method': method,
  };
  if (params.name) headers['mcp-name'] = params.name;
  const _meta = {
    'io.modelcontextprotocol/protocolVersion': version,
    'io.modelcontextprotocol/clientInfo': { name: 'suite', version: '2' },
    'io.modelcontextprotocol/clientCapabilities': { elicitation: { form: {} } },
  };
  const body = JSON.stringify({ jsonrpc: '2.0', id: ++lastID, method, params: { ...params, _meta } });
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  const data = text.split('\n').findLast(line => line.startsWith('data: '));
  const message = JSON.parse(data ? data.slice('data: '.length) : text);
  if (message.error) throw new Error(`${method}: ${JSON.stringify(message.error)}`);
  return message.result;
}

// Servers that the suite starts are there at once, but behind a firewall they show up when it has reached them.
async function tools(client) {
  for (let i = 0; ; i++) {
    const { tools } = await client.listTools();
    if (tools.length > 0 || i === 40) return tools;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

const answers = inputRequests =>
  Object.fromEntries(Object.keys(inputRequests ?? {}).map(key => [key, { action: 'accept', content: { confirmed: true } }]));

const scenarios = {
  'json-schema-ref-no-deref': async () => {
    await tools(await connect());
  },
  'request-metadata': async () => {
    await (await connect({ sampling: {}, elicitation: { form: {} }, roots: {} })).listTools();
  },
  'json-schema-2020-12-preservation': async () => {
    const client = await connect();
    const { inputSchema } = (await tools(client)).find(t => t.name === 'json_schema_2020_12_tool');
    await client.callTool({ name: 'json_schema_echo', arguments: { schema: inputSchema } });
  },
  'elicitation-sep1034-client-defaults': async () => {
    const client = await connect({ elicitation: { form: { applyDefaults: true } } });
    await tools(client);
    await client.callTool({ name: 'test_client_elicitation_defaults', arguments: {} });
  },
  'sse-retry': async () => {
    const client = await connect();
    await tools(client);
    await client.callTool({ name: 'test_reconnection', arguments: {} });
  },
  'sep-2322-client-request-state': async () => {
    await request('tools/list', {});
    const first = await request('tools/call', { name: 'test_mrtr_echo_state', arguments: {} });
    await request('tools/call', { name: 'test_mrtr_unrelated', arguments: {} });
    await request('tools/call', {
      name: 'test_mrtr_echo_state',
      arguments: {},
      inputResponses: answers(first.inputRequests),
      requestState: first.requestState,
    });
    const second = await request('tools/call', { name: 'test_mrtr_no_state', arguments: {} });
    await request('tools/call', {
      name: 'test_mrtr_no_state',
      arguments: {},
      inputResponses: answers(second.inputRequests),
      requestState: second.requestState,
    });
    await request('tools/call', { name: 'test_mrtr_no_result_type', arguments: {} });
  },
  'http-standard-headers': async () => {
    const client = await connect();
    for (const { name } of await tools(client)) await client.callTool({ name, arguments: {} });
    for (const { uri } of (await client.listResources()).resources) await client.readResource({ uri });
    for (const { name } of (await client.listPrompts()).prompts) await client.getPrompt({ name });
  },
  'http-custom-headers': async () => {
    const client = await connect();
    await tools(client);
    for (const call of context.toolCalls) await client.callTool(call);
  },
  'http-invalid-tool-headers': async () => {
    const client = await connect();
    for (const { name } of await tools(client)) await client.callTool({ name, arguments: { region: 'us-west1' } });
  },
};

const basic = async () => {
  const client = await connect();
  const [tool] = await tools(client);
  if (tool) await client.callTool({ name: tool.name, arguments: { a: 2, b: 3 } });
};

await (scenarios[scenario] ?? basic)();
process.exit(0);
