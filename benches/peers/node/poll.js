// The same poll as the product's, the usual way in Node: fastify and better-sqlite3, from the same file.
//
// node poll.js ADDRESS DATABASE
import { createHash, randomUUID } from "node:crypto";
import Database from "better-sqlite3";
import Fastify from "fastify";

const [address, file] = process.argv.slice(2);
const [host, port] = address.split(":");
const poll = new Database(file, { readonly: true }).prepare(`
  SELECT k.organization_id AS caller, k.scopes, k.expires_at_ms AS keyExpiresAtMs, k.revoked_at_ms AS revokedAtMs,
         o.organization_id AS subject, o.type, v.state, v.expires_at_ms AS expiresAtMs,
         v.updated_at_ms AS updatedAtMs, a.status AS letter
  FROM api_key AS k
  LEFT JOIN organization AS o ON o.organization_id = coalesce(:onBehalfOf, k.organization_id)
  LEFT JOIN verification AS v ON v.organization_id = o.organization_id
  LEFT JOIN authorization AS a ON a.granting = o.organization_id AND a.authorized = k.organization_id
       AND a.type = 'LOA' AND a.status IN ('PENDING', 'ACTIVE')
  WHERE k.key_sha256 = :key`);

const app = Fastify();
app.get("/v1/organizations/verification", (request, reply) => {
  const [scheme, key = ""] = (request.headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer" || !key.startsWith("nxos_sk_test_")) return reply.code(401).send();
  const onBehalfOf = request.headers["nxos-on-behalf-of"] ?? null;
  const row = poll.get({ key: createHash("sha256").update(key).digest(), onBehalfOf });
  const now = Date.now();
  if (!row || row.revokedAtMs !== null || (row.keyExpiresAtMs ?? now + 1) <= now) return reply.code(401).send();
  if (row.subject === null) return reply.code(404).send();
  if (!row.scopes.includes("read") || (row.subject !== row.caller && row.letter === null)) return reply.code(403).send();
  let status = row.state.replace(/_BY_(PROVIDER|OPERATOR)$/, "");
  let since = row.updatedAtMs;
  if (status === "APPROVED" && row.expiresAtMs !== null && row.expiresAtMs <= now) {
    status = "RESUBMISSION_REQUIRED";
    since = Math.max(row.expiresAtMs, since);
  }
  reply.header("ETag", `"${status}-${since.toString(16)}"`);
  reply.header("X-Request-Id", `req_${randomUUID().replaceAll("-", "")}`);
  return { object: "organization_verification", status, type: row.type, updatedAt: new Date(since).toISOString() };
});
await app.listen({ host, port: Number(port) });
