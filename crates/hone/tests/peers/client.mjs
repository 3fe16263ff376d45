// A client of the TypeScript SDK: `client.mjs FOLDER SDK TARGET [COMMAND ...]`.
//
// FOLDER has the packages; SDK is `1` (with `initialize`) or `2` (revision 2026-07-28); TARGET is a URL or `stdio`. Looks an
// order up twice in one session, asks for nonsense, and prints what it saw as JSON.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, sdk, target, ...command] = process.argv.slice(2);
const require = createRequire(`${folder}/anything.js`);
const load = (name) => import(pathToFileURL(require.resolve(name)));

let client;
let transport;
if (sdk === "1") {
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  client = new Client({ name: "test", version: "1" });
  if (target === "stdio") {
    const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
    transport = new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: "ignore" });
    transport.setProtocolVersion = (version) => (transport.protocolVersion = version);
  } else {
    const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");
    transport = new StreamableHTTPClientTransport(new URL(target));
  }
} else {
  const { Client, StreamableHTTPClientTransport } = await load("@modelcontextprotocol/client");
  client = new Client({ name: "test", version: "2" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } });
  if (target === "stdio") {
    const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
    transport = new StdioClientTransport({ command: command[0], args: command.slice(1), stderr: "ignore" });
  } else {
    transport = new StreamableHTTPClientTransport(new URL(target));
  }
}
await client.connect(transport);
const { tools } = await client.listTools();
const call = (name, args) => client.callTool({ name, arguments: args });
const noted = await call("escalate", { topic: "complaint" });
const invalid = await call("find_customer", { nom: "x" });
const missing = await call("get_order", { order: "Z0" });
console.log(
  JSON.stringify({
    protocol: client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "",
    server: client.getServerVersion()?.name,
    tools: tools.map((tool) => tool.name),
    refund: tools.find((tool) => tool.name === "refund_order").annotations,
    noted,
    invalid,
    missing,
  }),
);
await client.close();
