// A driver (see driver.mjs) of the TypeScript SDK 1.x, which speaks the protocol to 2025-11-25.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { drive } from './driver.mjs';

await drive(async (config, onRequest, onNotification) => {
  const capabilities = config.capabilities ?? {};
  const client = new Client({ name: 'typescript-1', version: '1.32.2' }, { capabilities });
  const answer = request => onRequest(request.method, request.params);
  if (capabilities.sampling) client.setRequestHandler(CreateMessageRequestSchema, answer);
  if (capabilities.elicitation) client.setRequestHandler(ElicitRequestSchema, answer);
  if (capabilities.roots) client.setRequestHandler(ListRootsRequestSchema, answer);
  client.fallbackNotificationHandler = async n => onNotification(n.method, n.params);

  const transport = config.command
    ? new StdioClientTransport({ command: config.command, args: config.args, env: config.env, stderr: 'inherit' })
    : config.transport === 'sse'
      ? new SSEClientTransport(new URL(config.url))
      : new StreamableHTTPClientTransport(new URL(config.url));
  let protocolVersion; // which the client tells its transport, and nobody else
  const tell = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = version => {
    protocolVersion = version;
    tell?.(version);
  };
  await client.connect(transport, { timeout: 60000 });
  return {
    client,
    about: {
      server: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
      protocolVersion,
    },
    methods: {
      callTool: (params, options) => client.callTool(params, undefined, options),
      ping: (_, options) => client.ping(options),
      // A tool that runs as a task: every message that the SDK yields on the way to the result. The task is asked for, since
      // the SDK does so by itself only where the server's capabilities were complete at the start.
      callToolStream: async (params, options) => {
        const messages = [];
        const stream = client.experimental.tasks.callToolStream(params, undefined, { ...options, task: { ttl: 60000 } });
        for await (const message of stream) messages.push(message);
        return messages.map(m => (m.type === 'error' ? { type: m.type, error: { message: m.error.message, code: m.error.code } } : m));
      },
    },
  };
});
