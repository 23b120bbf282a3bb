// A real OAuth authorization server, oidc-provider, on loopback, for oauthserver.go. Its first argument is the main file
// of the package, the second the life of access tokens in seconds. It says where it is on standard output, in one line
// of JSON, and ends with its standard input. Besides the server's own paths there are those below /test/.
import { createServer } from 'node:http'
import { pathToFileURL } from 'node:url'

console.warn = console.info = () => {} // that this is no production set-up is known
const { Provider } = await import(pathToFileURL(process.argv[2]))
const life = Number(process.argv[3])
const input = JSON.parse(process.argv[4]) // {jwk}: the public key of the client "keyed"

const server = createServer()
await new Promise((done) => server.listen(0, '127.0.0.1', done))
const issuer = `http://127.0.0.1:${server.address().port}`

const common = { response_types: [], redirect_uris: [], grant_types: ['client_credentials'], scope: 'read write' }
const person = { ...common, response_types: ['code'], redirect_uris: ['https://client.example.com/back'], grant_types: ['authorization_code', 'refresh_token'], scope: 'openid offline_access read write' }
const provider = new Provider(issuer, {
  clients: [
    { ...common, client_id: 'basic', client_secret: 'basic secret: +%/&=', token_endpoint_auth_method: 'client_secret_basic' },
    { ...common, client_id: 'post', client_secret: 'post-secret-8c1f', token_endpoint_auth_method: 'client_secret_post' },
    { ...common, client_id: 'keyed', token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [input.jwk] } },
    { ...person, client_id: 'person', client_secret: 'person-secret-77aa', token_endpoint_auth_method: 'client_secret_basic' },
    { ...person, client_id: 'public', token_endpoint_auth_method: 'none' },
    { ...common, client_id: 'server', client_secret: 'server-secret', grant_types: [], token_endpoint_auth_method: 'client_secret_basic' },
  ],
  scopes: ['openid', 'offline_access', 'read', 'write'],
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'ES256', 'EdDSA', 'Ed25519'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  ttl: { AccessToken: life, ClientCredentials: life, RefreshToken: 3600, Grant: 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => ({ audience: resource, scope: 'read write', accessTokenTTL: life, accessTokenFormat: 'opaque' }),
    },
  },
})

// mint returns a refresh token as the authorization of a person would have given it.
async function mint(clientId, resource) {
  const grant = new provider.Grant({ accountId: 'ada', clientId })
  grant.addOIDCScope('openid offline_access')
  grant.addResourceScope(resource, 'read write')
  const grantId = await grant.save()
  const client = await provider.Client.find(clientId)
  return new provider.RefreshToken({ accountId: 'ada', client, grantId, gty: 'authorization_code', scope: 'openid offline_access read write', resource, rotations: 0 }).save()
}

const handle = provider.callback()
server.on('request', async (req, res) => {
  const url = new URL(req.url, issuer)
  if (url.pathname === '/test/refresh-token') {
    res.end(await mint(url.searchParams.get('client'), url.searchParams.get('resource')))
    return
  }
  handle(req, res)
})
process.stdin.on('end', () => process.exit(0)).resume()
process.stdout.write(JSON.stringify({ issuer }) + '\n')
