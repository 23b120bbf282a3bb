// A driver (see driver.mjs) of the TypeScript SDK 2.x, which speaks every version of the protocol: config.mode is "legacy",
// "auto", or {"pin": version}.
import { Client, SSEClientTransport, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { drive } from './driver.mjs';

await drive(async (config, onRequest, onNotification) => {
  const capabilities = config.capabilities ?? {};
  const client = new Client(
    { name: 'typescript-2', version: '2.4.0' },
    { capabilities, versionNegotiation: { mode: config.mode ?? 'legacy' } },
  );
  const answer = request => onRequest(request.method, request.params);
  if (capabilities.sampling) client.setRequestHandler('sampling/createMessage', answer);
  if (capabilities.elicitation) client.setRequestHandler('elicitation/create', answer);
  if (capabilities.roots) client.setRequestHandler('roots/list', answer);
  client.fallbackNotificationHandler = async n => onNotification(n.method, n.params);

  const transport = config.command
    ? new StdioClientTransport({ command: config.command, args: config.args, env: config.env, stderr: 'inherit' })
    : config.transport === 'sse'
      ? new SSEClientTransport(new URL(config.url))
      : new StreamableHTTPClientTransport(new URL(config.url));
  await client.connect(transport, { timeout: 60000 });

  let subscription;
  return {
    client,
    about: {
      server: client.getServerVersion(),
      capabilities: client.getServerCapabilities(),
      instructions: client.getInstructions(),
      protocolVersion: client.getNegotiatedProtocolVersion(),
      era: client.getProtocolEra(),
    },
    methods: {
      ping: (_, options) => client.ping(options),
      listen: async (filter, options) => {
        subscription = await client.listen(filter, { timeout: options.timeout });
        return {};
      },
      unlisten: async () => {
        await subscription.close();
        return {};
      },
    },
  };
});
