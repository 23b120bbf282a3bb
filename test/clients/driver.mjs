// The part of the client drivers that does not depend on the SDK's version. A driver is a client that a test program
// tells what to do, a JSON object a line on standard input, and that answers on standard output:
//
//   {"id": 1, "method": "callTool", "params": [...], "progress": true}   call the SDK's method of that name
//   {"cancel": 1}                                                         abort that call, through its AbortSignal
//
//   {"id": 1, "result": ...}  or  {"id": 1, "error": {"name", "message", "code", "data"}}
//   {"event": "progress", "id": 1, "params": ...}                        of the call with that id
//   {"event": "request", "method": "elicitation/create", "params": ...}  from the server, and answered as configured
//   {"event": "notification", "method": ..., "params": ...}              from the server
//
// The first line is the configuration: {"command", "args"} or {"url", "transport": "http"|"sse"}, the client's
// capabilities, its answers by method, each a list of {"when": part of the params, "answer"} of which the first that fits
// is given, and for 2.x the mode of version negotiation.
import { createInterface } from 'node:readline';

const say = message => process.stdout.write(JSON.stringify(message) + '\n');

// drive runs a driver. The SDK's part makes a connected client from the configuration and the two callbacks, and says
// how to call a method: methods takes (params, options) and overrides those of the client.
export async function drive(connect) {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const config = JSON.parse((await lines.next()).value);
  const onRequest = (method, params) => {
    say({ event: 'request', method, params });
    const choice = config.answers?.[method]?.find(({ when = '' }) => JSON.stringify(params ?? {}).includes(when));
    if (!choice) throw new Error(`the test has no answer to ${method}`);
    return choice.answer;
  };
  const onNotification = (method, params) => say({ event: 'notification', method, params });
  const fail = (id, e) => say({ id, error: { name: e.name, message: e.message, code: e.code, data: e.data } });

  let client, about, methods;
  try {
    ({ client, about, methods } = await connect(config, onRequest, onNotification));
    say({ id: 0, result: about });
  } catch (e) {
    fail(0, e);
    process.exit(1);
  }
  const calls = new Map();
  const run = async ({ id, method, params = [], progress, timeout }) => {
    const abort = new AbortController();
    calls.set(id, abort);
    const options = { signal: abort.signal, timeout: timeout ?? 60000 };
    if (progress) options.onprogress = p => say({ event: 'progress', id, params: p });
    try {
      const call = methods?.[method] ?? ((params, options) => client[method](params, options));
      say({ id, result: (await call(params[0], options)) ?? null });
    } catch (e) {
      fail(id, e);
    } finally {
      calls.delete(id);
    }
  };
  for await (const line of lines) {
    const command = JSON.parse(line);
    if (command.cancel !== undefined) calls.get(command.cancel)?.abort('the test cancelled it');
    else run(command);
  }
  await client.close();
  process.exit(0);
}
