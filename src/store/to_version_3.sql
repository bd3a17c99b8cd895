-- From version 2 to 3: who made a key, until when a link signs, marks of answers that held a secret, ids
-- that tell no volume, and former secrets that sign for as long as was promised. Ids that callers have
-- been told stay as they are.
CREATE TABLE new_api_key (
  key_sha256       BLOB    PRIMARY KEY CHECK (length(key_sha256) = 32),
  key_id           TEXT    NOT NULL UNIQUE,   -- 'key_' + 32 hex, for people and logs
  organization_id  TEXT    NOT NULL REFERENCES organization (organization_id),
  name             TEXT    NOT NULL,          -- what its owner calls it
  scopes           TEXT    NOT NULL CHECK (scopes IN ('read', 'write', 'read write')),
  created_at_ms    INTEGER NOT NULL,
  expires_at_ms    INTEGER,                   -- NULL: never
  revoked_at_ms    INTEGER,                   -- NULL: active
  created_by_key   TEXT    REFERENCES api_key (key_id)  -- the key that made it; NULL: an operator did, or schema 2
) STRICT, WITHOUT ROWID;
INSERT INTO new_api_key
    (key_sha256, key_id, organization_id, name, scopes, created_at_ms, expires_at_ms, revoked_at_ms)
  SELECT key_sha256, key_id, organization_id, name, scopes, created_at_ms, expires_at_ms, revoked_at_ms
  FROM api_key;
DROP TABLE api_key;
ALTER TABLE new_api_key RENAME TO api_key;
CREATE INDEX api_key_by_organization ON api_key (organization_id, created_at_ms);

CREATE TABLE new_idempotency (
  scope_sha256    BLOB    PRIMARY KEY CHECK (length(scope_sha256) = 32),  -- caller, acted-for, key, method, path
  request_sha256  BLOB    NOT NULL CHECK (length(request_sha256) = 32),   -- query and body
  status          INTEGER NOT NULL CHECK (status BETWEEN 200 AND 499),
  body            BLOB,                       -- NULL: it held a secret, and only this mark is kept
  expires_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO new_idempotency
    (scope_sha256, request_sha256, status, body, expires_at_ms)
  SELECT scope_sha256, request_sha256, status, body, expires_at_ms
  FROM idempotency;
DROP TABLE idempotency;
ALTER TABLE new_idempotency RENAME TO idempotency;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at_ms);

CREATE TABLE new_authorization (
  authorization_id  INTEGER PRIMARY KEY AUTOINCREMENT,  -- never shown; newest first in lists
  public_id         TEXT    NOT NULL UNIQUE   -- 'loa_' + 16 hex, random: a row's number would tell how many there are
    DEFAULT ('loa_' || lower(hex(randomblob(8)))),
  granting          TEXT    NOT NULL REFERENCES organization (organization_id),
  authorized        TEXT    NOT NULL REFERENCES organization (organization_id),
  type              TEXT    NOT NULL CHECK (type = 'LOA'),
  status            TEXT    NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'REVOKED')),
  signed_at_ms      INTEGER,
  revoked_at_ms     INTEGER,
  revoked_reason    TEXT,
  created_at_ms     INTEGER NOT NULL,
  updated_at_ms     INTEGER NOT NULL,
  CHECK (granting <> authorized),
  CHECK ((status = 'PENDING') <= (signed_at_ms IS NULL)),
  CHECK ((status = 'ACTIVE') <= (signed_at_ms IS NOT NULL)),
  CHECK ((status = 'REVOKED') = (revoked_at_ms IS NOT NULL))
) STRICT;
INSERT INTO new_authorization
    (authorization_id, public_id, granting, authorized, type, status, signed_at_ms, revoked_at_ms, revoked_reason, created_at_ms, updated_at_ms)
  SELECT authorization_id, printf('loa_%016x', authorization_id), granting, authorized, type, status, signed_at_ms, revoked_at_ms, revoked_reason, created_at_ms, updated_at_ms
  FROM authorization;
DROP TABLE authorization;
ALTER TABLE new_authorization RENAME TO authorization;
CREATE UNIQUE INDEX authorization_live ON authorization (granting, authorized, type)
  WHERE status IN ('PENDING', 'ACTIVE');
CREATE INDEX authorization_by_granting ON authorization (granting, authorization_id);
CREATE INDEX authorization_by_parties ON authorization (granting, authorized, authorization_id);
CREATE INDEX authorization_by_authorized ON authorization (authorized, authorization_id);
CREATE INDEX authorization_by_status ON authorization (status || '', authorization_id);

CREATE TABLE new_handoff_link (
  token_sha256      BLOB    PRIMARY KEY CHECK (length(token_sha256) = 32),
  link_id           TEXT    NOT NULL UNIQUE,  -- 'link_' + 32 hex, for people and logs
  authorization_id  INTEGER NOT NULL REFERENCES authorization (authorization_id),  -- the LOA to sign
  created_at_ms     INTEGER NOT NULL,
  created_by        TEXT    NOT NULL,         -- the broker's id, or 'operator:<login>'
  request_id        TEXT,                     -- the request that made it, if one did
  revoked_at_ms     INTEGER,                  -- NULL: not revoked
  revoked_by        TEXT,                     -- an organization's id, or 'operator:<login>'
  expires_at_ms     INTEGER NOT NULL,         -- until then it can sign; a signed letter outlives it
  asked_from        TEXT,                     -- PERSONAL DATA: address of the newest session call for it
  CHECK ((revoked_at_ms IS NULL) = (revoked_by IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO new_handoff_link
    (token_sha256, link_id, authorization_id, created_at_ms, created_by, request_id, revoked_at_ms, revoked_by, expires_at_ms)
  SELECT token_sha256, link_id, authorization_id, created_at_ms, created_by, request_id, revoked_at_ms, revoked_by, created_at_ms + 90 * 86400000
  FROM handoff_link;
DROP TABLE handoff_link;
ALTER TABLE new_handoff_link RENAME TO handoff_link;
CREATE INDEX handoff_link_by_authorization ON handoff_link (authorization_id, created_at_ms);

CREATE TABLE new_signature_evidence (
  sequence      INTEGER PRIMARY KEY REFERENCES authorization_event (sequence),
  link_id       TEXT    NOT NULL REFERENCES handoff_link (link_id),
  text          TEXT    NOT NULL,             -- the letter as it was shown, byte for byte
  text_sha256   BLOB    NOT NULL CHECK (length(text_sha256) = 32),
  text_version  TEXT    NOT NULL,             -- of the template
  address       TEXT,                         -- the signer's IP address, if the socket told it
  user_agent    TEXT,                         -- the browser's own word
  forwarded     TEXT CHECK (json_valid(forwarded)),  -- the headers that name a client's address, as they came
  asked_from    TEXT                          -- the address that the broker asked for the link from
) STRICT;
INSERT INTO new_signature_evidence
    (sequence, link_id, text, text_sha256, text_version, address, user_agent)
  SELECT sequence, link_id, text, text_sha256, text_version, address, user_agent
  FROM signature_evidence;
DROP TABLE signature_evidence;
ALTER TABLE new_signature_evidence RENAME TO signature_evidence;

CREATE TABLE former_endpoint_secret (
  endpoint_id  TEXT    NOT NULL REFERENCES webhook_endpoint (endpoint_id),
  salt         BLOB    NOT NULL CHECK (length(salt) = 16),
  until_ms     INTEGER NOT NULL               -- until then messages bear its signature as well
) STRICT;
INSERT INTO former_endpoint_secret (endpoint_id, salt, until_ms)
  SELECT endpoint_id, previous_salt, previous_until_ms
  FROM webhook_endpoint
  WHERE previous_salt IS NOT NULL;
CREATE INDEX former_endpoint_secret_by_endpoint ON former_endpoint_secret (endpoint_id);

CREATE TABLE new_webhook_endpoint (
  endpoint_id        TEXT    PRIMARY KEY,     -- 'ep_' + 24 hex
  organization_id    TEXT    NOT NULL REFERENCES organization (organization_id),
  url                TEXT    NOT NULL,
  description        TEXT,                    -- the owner's own words
  event_types        TEXT    NOT NULL CHECK (json_valid(event_types)),  -- JSON array; empty: all
  disabled           INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  secret_salt        BLOB    NOT NULL CHECK (length(secret_salt) = 16),
  secret_check       BLOB    NOT NULL CHECK (length(secret_check) = 8), -- of a hash: is the key the same?
  failing_since_ms   INTEGER,                 -- NULL: the last attempt did not fail
  took_ms            INTEGER NOT NULL DEFAULT 0,  -- how long the last attempt took
  created_at_ms      INTEGER NOT NULL,
  updated_at_ms      INTEGER NOT NULL,
  deleted_at_ms      INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO new_webhook_endpoint
    (endpoint_id, organization_id, url, description, event_types, disabled, secret_salt, secret_check, failing_since_ms, took_ms, created_at_ms, updated_at_ms, deleted_at_ms)
  SELECT endpoint_id, organization_id, url, description, event_types, disabled, secret_salt, secret_check, failing_since_ms,
         iif(EXISTS (SELECT 1 FROM outgoing_delivery AS d JOIN outgoing_attempt AS a ON a.delivery_no = d.delivery_no
                     WHERE d.endpoint_id = webhook_endpoint.endpoint_id), took_ms, -1),
         created_at_ms, updated_at_ms, deleted_at_ms
  FROM webhook_endpoint;
DROP TABLE webhook_endpoint;
ALTER TABLE new_webhook_endpoint RENAME TO webhook_endpoint;
CREATE INDEX webhook_endpoint_by_organization
  ON webhook_endpoint (organization_id, created_at_ms, endpoint_id) WHERE deleted_at_ms IS NULL;

CREATE TABLE new_outgoing_delivery (
  delivery_no    INTEGER PRIMARY KEY AUTOINCREMENT,  -- never shown to callers
  public_id      TEXT    NOT NULL UNIQUE             -- 'dlv_' + 16 hex, random, as an LOA's
    DEFAULT ('dlv_' || lower(hex(randomblob(8)))),
  message_no     INTEGER NOT NULL REFERENCES outgoing_message (message_no),
  endpoint_id    TEXT    NOT NULL REFERENCES webhook_endpoint (endpoint_id),
  status         TEXT    NOT NULL CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED', 'SKIPPED')),
  attempts       INTEGER NOT NULL DEFAULT 0,  -- of the present run through the schedule
  due_at_ms      INTEGER,
  created_at_ms  INTEGER NOT NULL,
  UNIQUE (message_no, endpoint_id),
  CHECK ((status = 'PENDING') = (due_at_ms IS NOT NULL))
) STRICT;
INSERT INTO new_outgoing_delivery
    (delivery_no, public_id, message_no, endpoint_id, status, attempts, due_at_ms, created_at_ms)
  SELECT delivery_no, printf('dlv_%016x', delivery_no), message_no, endpoint_id, status, attempts, due_at_ms, created_at_ms
  FROM outgoing_delivery;
DROP TABLE outgoing_delivery;
ALTER TABLE new_outgoing_delivery RENAME TO outgoing_delivery;
CREATE INDEX outgoing_delivery_due ON outgoing_delivery (endpoint_id, due_at_ms)
  WHERE status = 'PENDING';
CREATE INDEX outgoing_delivery_by_time ON outgoing_delivery (endpoint_id, created_at_ms);

CREATE TRIGGER signature_evidence_is_a_record BEFORE UPDATE ON signature_evidence
  BEGIN SELECT RAISE(ABORT, 'signature_evidence rows are facts'); END;
CREATE TRIGGER signature_evidence_is_kept BEFORE DELETE ON signature_evidence
  BEGIN SELECT RAISE(ABORT, 'signature_evidence rows are facts'); END;
CREATE TRIGGER signature_evidence_is_not_replaced BEFORE INSERT ON signature_evidence
  WHEN EXISTS (SELECT 1 FROM signature_evidence WHERE sequence = NEW.sequence)
  BEGIN SELECT RAISE(ABORT, 'signature_evidence rows are facts'); END;

-- A test server reached private addresses at anybody's wish; what it read there is shown no more. A live
-- one never did.
DROP TRIGGER outgoing_attempt_is_a_record;
UPDATE outgoing_attempt SET answer = x''
  WHERE answer IS NOT NULL AND (SELECT environment FROM register) = 'test';
CREATE TRIGGER outgoing_attempt_is_a_record BEFORE UPDATE ON outgoing_attempt
  BEGIN SELECT RAISE(ABORT, 'outgoing_attempt rows are facts'); END;
