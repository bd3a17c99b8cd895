-- The register of Countersign: who was verified, who authorized whom, and every fact that says so.
--
-- Tables of record hold facts. Their rows are only ever added: triggers refuse UPDATE and DELETE.
-- Derived tables (verification, authorization) hold the fold of those facts, kept for speed; they
-- can be rebuilt, and a test rebuilds and compares them.
--
-- Every *_at_ms is an instant in milliseconds since 1970-01-01T00:00:00Z.
-- "happened" is when something took place; "known" is when its commit made it ours.
-- An actor is an organization's id, or 'operator:' and who it was by the machine's own word, as in
-- 'operator:ada', 'operator:ada (as root)' or 'operator:uid:1001' (docs/operations.md).
-- No secret, share token or access token is ever stored: of API keys, share tokens and
-- hand-off links only SHA-256.

PRAGMA application_id = 1129531214;   -- 0x4353474E, "CSGN": `file` and we know our own
PRAGMA user_version = 4;              -- version of this schema; a newer file is refused

-- One row: what this file is. Test and live never share a file.
CREATE TABLE register (
  only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
  environment    TEXT    NOT NULL CHECK (environment IN ('test', 'live')),
  created_at_ms  INTEGER NOT NULL
) STRICT;

-- A business or a person. Type and creator never change.
CREATE TABLE organization (
  organization_id  TEXT    PRIMARY KEY,       -- 'org_' + 32 hex, UUID v7: sorts by creation
  name             TEXT    NOT NULL,          -- PERSONAL DATA for INDIVIDUAL; 1-200 characters
  type             TEXT    NOT NULL CHECK (type IN ('BUSINESS', 'INDIVIDUAL')),
  created_by       TEXT    REFERENCES organization (organization_id),  -- the broker; NULL: by an operator
  metadata         TEXT    NOT NULL CHECK (json_valid(metadata)),      -- the creator's own JSON object
  created_at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX organization_by_creator ON organization (created_by, organization_id);
CREATE INDEX organization_by_name ON organization (name COLLATE NOCASE);   -- lists sorted by name

-- A key of an organization. The key itself is shown once and never stored.
CREATE TABLE api_key (
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

CREATE INDEX api_key_by_organization ON api_key (organization_id, created_at_ms);

-- When a key was last used, to the minute. A note and not a fact: it may lag, and may be lost.
CREATE TABLE api_key_use (
  key_id           TEXT    PRIMARY KEY REFERENCES api_key (key_id),
  last_used_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- An answer that is given again to the same request with the same Idempotency-Key. Written in the
-- commit of what the request did, so that there is never one without the other. Answers that hold a
-- secret are never here; of a new API key there is a mark. Rows go when their time is over.
CREATE TABLE idempotency (
  scope_sha256    BLOB    PRIMARY KEY CHECK (length(scope_sha256) = 32),  -- caller, acted-for, key, method, path
  request_sha256  BLOB    NOT NULL CHECK (length(request_sha256) = 32),   -- query and body
  status          INTEGER NOT NULL CHECK (status BETWEEN 200 AND 499),
  body            BLOB,                       -- NULL: it held a secret, and only this mark is kept
  expires_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_by_expiry ON idempotency (expires_at_ms);

-- A call on behalf of a customer that the gate refused: found again by the request's id. A note and
-- not a fact: under load it may be missing.
CREATE TABLE gate_refusal (
  request_id     TEXT    PRIMARY KEY,
  caller         TEXT    NOT NULL,            -- the broker
  subject        TEXT    NOT NULL,            -- the customer
  purpose        TEXT    NOT NULL CHECK (purpose IN ('verify', 'import', 'act')),
  refusal        TEXT    NOT NULL,            -- 'no_live_authorization', 'not_signed', 'lapsed', 'not_approved'
  refused_at_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX gate_refusal_by_age ON gate_refusal (refused_at_ms);

-- A Sumsub applicant that belongs to an organization. Which one is current is in verification.
CREATE TABLE applicant (
  applicant_id      TEXT    PRIMARY KEY,      -- Sumsub's id, 24 hex
  organization_id   TEXT    NOT NULL REFERENCES organization (organization_id),
  external_user_id  TEXT    NOT NULL,         -- Sumsub's externalUserId: ours, or 'copy-…' after an import
  linked_at_ms      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX applicant_by_organization ON applicant (organization_id, linked_at_ms);

-- A share token that is or was on its way to Sumsub, written before the call, so that an import whose
-- answer was lost can be found again instead of being called a bad token.
CREATE TABLE import_attempt (
  share_token_sha256  BLOB    NOT NULL CHECK (length(share_token_sha256) = 32),
  organization_id     TEXT    NOT NULL REFERENCES organization (organization_id),
  begun_at_ms         INTEGER NOT NULL,
  ended_at_ms         INTEGER,                -- NULL: no answer of Sumsub has been committed
  PRIMARY KEY (share_token_sha256, organization_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX import_attempt_open ON import_attempt (organization_id) WHERE ended_at_ms IS NULL;

-- RECORD. What Sumsub sent us, byte for byte, if its digest was right. A second delivery of the same
-- bytes adds nothing. Only the body goes, by age: what it said and did is in the tables after this one.
CREATE TABLE delivery (
  delivery_id     INTEGER PRIMARY KEY AUTOINCREMENT,
  body_sha256     BLOB    NOT NULL UNIQUE CHECK (length(body_sha256) = 32),
  body            BLOB,                       -- NULL: let go of by age (setting inbox-days)
  headers         TEXT    NOT NULL CHECK (json_valid(headers)),  -- names and values; unknown ones' values masked
  event_type      TEXT,                       -- Sumsub's `type`; NULL: the body could not be read
  applicant_id    TEXT,                       -- Sumsub's `applicantId`
  received_at_ms  INTEGER NOT NULL
) STRICT;

CREATE INDEX delivery_by_applicant ON delivery (applicant_id, delivery_id);

-- RECORD. What a delivery did to whom; the newest row of a delivery is in force. More than one when a
-- delivery was replayed, or waited for an import whose applicant it names.
CREATE TABLE delivery_outcome (
  delivery_id      INTEGER NOT NULL REFERENCES delivery (delivery_id),
  outcome_no       INTEGER NOT NULL,          -- 1, 2, …
  outcome          TEXT    NOT NULL CHECK (outcome IN (
    'changed',                                -- readers see another status
    'no_change',                              -- a fact was recorded; the status stays
    'not_current_applicant',                  -- recorded; another applicant decides
    'informational',                          -- a known type that carries no verdict
    'no_verdict',                             -- a reviewed type without a readable verdict
    -- Approvals that do not count; no fact is recorded.
    'other_level',                            -- at a level that is not accepted for the organization's type
    'other_applicant_type',                   -- of a person for a BUSINESS, or the other way round
    'unreadable_guard',                       -- something that guards it cannot be read
    'workflow_step',                          -- of a step, and the workflow decides
    'awaiting_provider',                      -- waits until Sumsub has been asked: our clock may be wrong
    'unknown_type', 'unknown_applicant', 'member_of_company',
    'other_environment', 'test_event', 'unreadable')),
  organization_id  TEXT    REFERENCES organization (organization_id),
  known_at_ms      INTEGER NOT NULL,
  PRIMARY KEY (delivery_id, outcome_no)
) STRICT, WITHOUT ROWID;

-- RECORD. Everything that happened to a verification; its fold is the status. An import without a
-- begun_at_ms had lost its right when Sumsub answered: its applicant is linked for audit only.
CREATE TABLE verification_event (
  sequence         INTEGER PRIMARY KEY AUTOINCREMENT,   -- order of recording
  organization_id  TEXT    NOT NULL REFERENCES organization (organization_id),
  event            TEXT    NOT NULL CHECK (event IN (
    'session_started', 'import_accepted',
    'provider_pending', 'provider_awaiting_user', 'provider_approved', 'provider_rejected',
    'provider_retry', 'provider_on_hold', 'provider_reset', 'provider_step_failed',
    'operator_hold', 'operator_approve', 'operator_reject', 'operator_resubmit', 'operator_reopen',
    'clock_corrected')),
  happened_at_ms   INTEGER NOT NULL,          -- Sumsub's own instant; of ours, the corrected clock's
  known_at_ms      INTEGER NOT NULL,          -- never before another fact's of this register
  applicant_id     TEXT,
  begun_at_ms      INTEGER,                   -- session, import: when we began to ask Sumsub
  valid_days       INTEGER NOT NULL DEFAULT 0 CHECK (valid_days >= 0),  -- approvals: 0 = for ever
  delivery_id      INTEGER REFERENCES delivery (delivery_id),           -- the cause, if Sumsub said it
  actor            TEXT,                      -- the cause, if a person did it: 'operator:<login>'
  reason           TEXT,                      -- the operator's words
  request_id       TEXT,                      -- the cause, if a request did it
  asked_at_ms      INTEGER,                   -- the cause, if we asked Sumsub and no webhook had said it
  level            TEXT,                      -- verdicts: Sumsub's levelName; sessions, imports: the one asked for
  basis            INTEGER,                   -- operators: the newest fact that its maker was shown; 0 = none
  -- While Sumsub's time is unknown, a fact that our clock dates bears the machine's uptime, so that it
  -- can be moved to its true place once it is known: by clock_corrected, which bears booted_at_ms.
  boot_id          TEXT,                      -- which run of the machine
  uptime_ms        INTEGER,                   -- when, in that run
  booted_at_ms     INTEGER,                   -- clock_corrected: when that run began
  CHECK ((event = 'clock_corrected') = (booted_at_ms IS NOT NULL)),
  CHECK (boot_id IS NOT NULL OR (uptime_ms IS NULL AND booted_at_ms IS NULL))
) STRICT;

CREATE INDEX verification_event_by_organization ON verification_event (organization_id, sequence);
CREATE UNIQUE INDEX verification_event_by_delivery ON verification_event (delivery_id)
  WHERE delivery_id IS NOT NULL;
CREATE INDEX verification_event_by_asking ON verification_event (asked_at_ms)
  WHERE asked_at_ms IS NOT NULL;
CREATE INDEX verification_event_unsure ON verification_event (boot_id, sequence)
  WHERE uptime_ms IS NOT NULL;

-- DERIVED: an approval of Sumsub's that does not count, while nothing newer has been recorded of the
-- verification by Sumsub or an operator: somebody has to look at it. Of several the newest. What it was
-- is kept in delivery_outcome; one that was found by asking is told in the log.
CREATE TABLE ignored_approval (
  organization_id  TEXT    PRIMARY KEY REFERENCES organization (organization_id),
  outcome          TEXT    NOT NULL CHECK (outcome IN (
    'other_level', 'other_applicant_type', 'unreadable_guard', 'workflow_step')),
  applicant_id     TEXT    NOT NULL,
  level            TEXT,                      -- as Sumsub named it; NULL: not, or unreadably
  applicant_type   TEXT,                      -- as Sumsub named it: 'company', 'individual'; NULL as above
  happened_at_ms   INTEGER NOT NULL,
  known_at_ms      INTEGER NOT NULL,
  delivery_id      INTEGER REFERENCES delivery (delivery_id)  -- NULL: Sumsub was asked
) STRICT, WITHOUT ROWID;

CREATE INDEX ignored_approval_by_age ON ignored_approval (known_at_ms, organization_id);

-- Approvals that wait until Sumsub has been asked. A row goes when its delivery is read again.
CREATE TABLE awaiting_provider (
  delivery_id      INTEGER PRIMARY KEY REFERENCES delivery (delivery_id)
) STRICT;

-- One row, once a server has measured it: how far Sumsub's clock is from this machine's. A hint for
-- commands beside the running server, and nothing after a restart.
CREATE TABLE clock (
  only_row        INTEGER PRIMARY KEY CHECK (only_row = 1),
  boot_id         TEXT    NOT NULL,           -- in which run of the machine
  offset_ms       INTEGER NOT NULL,           -- Sumsub's clock minus the machine's
  base_ms         INTEGER NOT NULL,           -- the machine's clock minus its uptime, when it was measured
  measured_at_ms  INTEGER NOT NULL            -- when, by the machine's clock
) STRICT;

-- DERIVED: the fold of verification_event. Exactly one row per organization.
CREATE TABLE verification (
  organization_id  TEXT    PRIMARY KEY REFERENCES organization (organization_id),
  state            TEXT    NOT NULL CHECK (state IN (
    'NOT_STARTED', 'PENDING', 'APPROVED', 'REJECTED_BY_PROVIDER', 'REJECTED_BY_OPERATOR',
    'ON_HOLD_BY_PROVIDER', 'ON_HOLD_BY_OPERATOR', 'RESUBMISSION_REQUIRED')),
  applicant_id     TEXT,                      -- the current applicant
  expires_at_ms    INTEGER,                   -- an approval's end; NULL: none
  lapsed           INTEGER NOT NULL CHECK (lapsed IN (0, 1)),  -- ended by expiry, not approved since
  updated_at_ms    INTEGER NOT NULL           -- when readers saw the status begin
) STRICT, WITHOUT ROWID;

-- Those that wait for Sumsub or for their customer.
CREATE INDEX verification_waiting ON verification (updated_at_ms)
  WHERE state IN ('PENDING', 'ON_HOLD_BY_PROVIDER', 'RESUBMISSION_REQUIRED');

-- When Sumsub was last asked about a verification, so that one that is just slow is asked about ever
-- more rarely. A note, not a fact: without it Sumsub is asked once too often.
CREATE TABLE reconciliation (
  organization_id  TEXT    PRIMARY KEY REFERENCES organization (organization_id),
  asked_at_ms      INTEGER NOT NULL,          -- 0: it has not answered yet
  since_ms         INTEGER NOT NULL,          -- the wait counts from here: the last question or fact
  quiet            INTEGER NOT NULL CHECK (quiet >= 0)  -- questions since the last fact that told nothing new
) STRICT, WITHOUT ROWID;

-- One row, once the reconciler has run.
CREATE TABLE reconciler (
  only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
  passed_at_ms   INTEGER NOT NULL,            -- its last pass: until then nothing was missed unnoticed
  sweep_from_ms  INTEGER NOT NULL             -- whoever was not asked about since then is to be, once
) STRICT;
-- For an operator's lists over a million rows: by status, by what expires next, by what waits for a
-- person longest. The first is also what the counts per status are read from.
CREATE INDEX verification_by_state ON verification (state);
CREATE INDEX verification_by_expiry ON verification (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX verification_for_review ON verification (updated_at_ms)
  WHERE state IN ('ON_HOLD_BY_PROVIDER', 'ON_HOLD_BY_OPERATOR', 'REJECTED_BY_OPERATOR');

-- DERIVED: the fold of authorization_event. A Letter of Authorization.
CREATE TABLE authorization (
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

-- At most one live LOA between two organizations, in one direction.
CREATE UNIQUE INDEX authorization_live ON authorization (granting, authorized, type)
  WHERE status IN ('PENDING', 'ACTIVE');
CREATE INDEX authorization_by_granting ON authorization (granting, authorization_id);
CREATE INDEX authorization_by_parties ON authorization (granting, authorized, authorization_id);
CREATE INDEX authorization_by_authorized ON authorization (authorized, authorization_id);
-- For lists and counts by status. An expression, so that no query about one organization takes it for
-- the better one.
CREATE INDEX authorization_by_status ON authorization (status || '', authorization_id);

-- RECORD. What happened to an LOA.
CREATE TABLE authorization_event (
  sequence          INTEGER PRIMARY KEY AUTOINCREMENT,
  authorization_id  INTEGER NOT NULL REFERENCES authorization (authorization_id),
  event             TEXT    NOT NULL CHECK (event IN ('issued', 'signed', 'revoked')),
  happened_at_ms    INTEGER NOT NULL,         -- a paper may have been signed before we knew it
  known_at_ms       INTEGER NOT NULL,
  actor             TEXT    NOT NULL,         -- an organization's id, or 'operator:<login>'
  reason            TEXT,                     -- of a revocation
  signer_name       TEXT,                     -- PERSONAL DATA, with signer_role: who signed
  signer_role       TEXT,
  signed_how        TEXT,                     -- 'paper', 'e-signature', …
  reference         TEXT,                     -- where the signed document is kept
  request_id        TEXT,
  CHECK (event <> 'signed' OR (signer_name IS NOT NULL AND signer_role IS NOT NULL
                               AND signed_how IS NOT NULL AND reference IS NOT NULL))
) STRICT;

CREATE INDEX authorization_event_by_authorization ON authorization_event (authorization_id, sequence);

-- A link by which a customer reaches the hand-off pages, where the LOA is signed and the verification
-- done. Opening one spends nothing. The address is not stored: it is derived from the server's webhook
-- key and the link's id, as an endpoint's secret is. An unsigned LOA has one live link; links of other
-- keys, and those that earlier versions made, may live beside it.
CREATE TABLE handoff_link (
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

CREATE INDEX handoff_link_by_authorization ON handoff_link (authorization_id, created_at_ms);

-- RECORD. What a signature on the hand-off page was given to, and how: beside the signer's name, role
-- and instant in authorization_event. PERSONAL DATA: text, address, user_agent, forwarded, asked_from.
CREATE TABLE signature_evidence (
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

-- A place that events are sent to, of the organization whose key made it. The endpoint's secret is
-- not here: it is derived from the server's webhook key, the id and the salt. A deleted endpoint
-- keeps its row, because the log of what was sent there is kept.
CREATE TABLE webhook_endpoint (
  endpoint_id        TEXT    PRIMARY KEY,     -- 'ep_' + 24 hex
  organization_id    TEXT    NOT NULL REFERENCES organization (organization_id),
  url                TEXT    NOT NULL,
  description        TEXT,                    -- the owner's own words
  event_types        TEXT    NOT NULL CHECK (json_valid(event_types)),  -- JSON array; empty: all
  disabled           INTEGER NOT NULL CHECK (disabled IN (0, 1)),
  secret_salt        BLOB    NOT NULL CHECK (length(secret_salt) = 16),
  secret_check       BLOB    NOT NULL CHECK (length(secret_check) = 8), -- of a hash: is the key the same?
  failing_since_ms   INTEGER,                 -- NULL: the last attempt did not fail
  took_ms            INTEGER NOT NULL DEFAULT 0,  -- how long the last attempt took; -1: none has ended yet
  created_at_ms      INTEGER NOT NULL,
  updated_at_ms      INTEGER NOT NULL,
  deleted_at_ms      INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX webhook_endpoint_by_organization
  ON webhook_endpoint (organization_id, created_at_ms, endpoint_id) WHERE deleted_at_ms IS NULL;

-- The salts of an endpoint's secrets before the one in force, in the order of the rotations: each signs
-- for as long as its owner was promised, whatever is rotated meanwhile. Rows go when their time is over.
CREATE TABLE former_endpoint_secret (
  endpoint_id  TEXT    NOT NULL REFERENCES webhook_endpoint (endpoint_id),
  salt         BLOB    NOT NULL CHECK (length(salt) = 16),
  until_ms     INTEGER NOT NULL               -- until then messages bear its signature as well
) STRICT;

CREATE INDEX former_endpoint_secret_by_endpoint ON former_endpoint_secret (endpoint_id);

-- RECORD. An event for our callers, byte for byte as it is sent. Exactly one for every change of a
-- status that readers see and for every authorization_event, written in the commit of the change,
-- whether or not anybody is to be told; tests are extra.
CREATE TABLE outgoing_message (
  message_no              INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id              TEXT    NOT NULL UNIQUE,  -- 'msg_' + 32 hex: webhook-id
  type                    TEXT    NOT NULL CHECK (type IN (
    'organization.verification.updated', 'authorization.updated', 'webhook.test')),
  organization_id         TEXT    NOT NULL REFERENCES organization (organization_id),  -- whom it is about
  verification_sequence   INTEGER REFERENCES verification_event (sequence),            -- the cause: a fact,
  expired_at_ms           INTEGER,                                                     -- an approval's end,
  authorization_sequence  INTEGER REFERENCES authorization_event (sequence),           -- or an LOA's event
  body                    BLOB,             -- NULL: let go of by age (setting outgoing-days)
  known_at_ms             INTEGER NOT NULL,
  CHECK ((verification_sequence IS NOT NULL) + (expired_at_ms IS NOT NULL)
         = (type = 'organization.verification.updated')),
  CHECK ((authorization_sequence IS NOT NULL) = (type = 'authorization.updated'))
) STRICT;

CREATE INDEX outgoing_message_by_organization ON outgoing_message (organization_id, message_no);
CREATE UNIQUE INDEX outgoing_message_by_fact ON outgoing_message (verification_sequence)
  WHERE verification_sequence IS NOT NULL;
CREATE UNIQUE INDEX outgoing_message_by_expiry ON outgoing_message (organization_id, expired_at_ms)
  WHERE expired_at_ms IS NOT NULL;
CREATE UNIQUE INDEX outgoing_message_by_authorization ON outgoing_message (authorization_sequence)
  WHERE authorization_sequence IS NOT NULL;

-- An approval that readers see and that will end: at its end, a message is due although no fact is
-- recorded. The row goes in the commit that writes the message, or that ends the approval otherwise.
CREATE TABLE expiry_notice (
  organization_id  TEXT    PRIMARY KEY REFERENCES organization (organization_id),
  expires_at_ms    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX expiry_notice_due ON expiry_notice (expires_at_ms);

-- One message to one endpoint: where it stands. While an attempt runs, due_at_ms is its lease: an
-- instant by which it will have ended. After a crash the delivery is simply due again then.
CREATE TABLE outgoing_delivery (
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

CREATE INDEX outgoing_delivery_due ON outgoing_delivery (endpoint_id, due_at_ms)
  WHERE status = 'PENDING';
CREATE INDEX outgoing_delivery_by_time ON outgoing_delivery (endpoint_id, created_at_ms);

-- RECORD. Every attempt: with the message's body, these are the exact bytes that went out. Deliveries and
-- attempts go by age, with the message's body.
CREATE TABLE outgoing_attempt (
  attempt_no     INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery_no    INTEGER NOT NULL REFERENCES outgoing_delivery (delivery_no),
  url            TEXT    NOT NULL,
  signed_at_s    INTEGER NOT NULL,            -- webhook-timestamp
  signature      TEXT    NOT NULL,            -- webhook-signature; empty: the secret was not at hand
  status         INTEGER,                     -- the answer's; NULL: there was none
  answer         BLOB,                        -- the first bytes of the answer's body
  error          TEXT,                        -- why there was no answer
  started_at_ms  INTEGER NOT NULL,
  ended_at_ms    INTEGER NOT NULL,
  CHECK ((status IS NULL) = (error IS NOT NULL)),
  CHECK ((status IS NULL) = (answer IS NULL))
) STRICT;

CREATE INDEX outgoing_attempt_by_delivery ON outgoing_attempt (delivery_no, attempt_no);

CREATE TRIGGER delivery_is_a_record BEFORE UPDATE ON delivery
  WHEN NEW.body IS NOT NULL OR NEW.delivery_id <> OLD.delivery_id OR NEW.body_sha256 <> OLD.body_sha256
    OR NEW.headers <> OLD.headers OR NEW.event_type IS NOT OLD.event_type
    OR NEW.applicant_id IS NOT OLD.applicant_id OR NEW.received_at_ms <> OLD.received_at_ms
  BEGIN SELECT RAISE(ABORT, 'delivery rows are facts'); END;
CREATE TRIGGER delivery_is_kept BEFORE DELETE ON delivery
  BEGIN SELECT RAISE(ABORT, 'delivery rows are facts'); END;
CREATE TRIGGER delivery_outcome_is_a_record BEFORE UPDATE ON delivery_outcome
  BEGIN SELECT RAISE(ABORT, 'delivery_outcome rows are facts'); END;
CREATE TRIGGER delivery_outcome_is_kept BEFORE DELETE ON delivery_outcome
  BEGIN SELECT RAISE(ABORT, 'delivery_outcome rows are facts'); END;
CREATE TRIGGER verification_event_is_a_record BEFORE UPDATE ON verification_event
  BEGIN SELECT RAISE(ABORT, 'verification_event rows are facts'); END;
CREATE TRIGGER verification_event_is_kept BEFORE DELETE ON verification_event
  BEGIN SELECT RAISE(ABORT, 'verification_event rows are facts'); END;
CREATE TRIGGER authorization_event_is_a_record BEFORE UPDATE ON authorization_event
  BEGIN SELECT RAISE(ABORT, 'authorization_event rows are facts'); END;
CREATE TRIGGER authorization_event_is_kept BEFORE DELETE ON authorization_event
  BEGIN SELECT RAISE(ABORT, 'authorization_event rows are facts'); END;
CREATE TRIGGER signature_evidence_is_a_record BEFORE UPDATE ON signature_evidence
  BEGIN SELECT RAISE(ABORT, 'signature_evidence rows are facts'); END;
CREATE TRIGGER signature_evidence_is_kept BEFORE DELETE ON signature_evidence
  BEGIN SELECT RAISE(ABORT, 'signature_evidence rows are facts'); END;
CREATE TRIGGER outgoing_message_is_a_record BEFORE UPDATE ON outgoing_message
  WHEN NEW.body IS NOT NULL OR NEW.message_no <> OLD.message_no OR NEW.message_id <> OLD.message_id
    OR NEW.type <> OLD.type OR NEW.organization_id <> OLD.organization_id
    OR NEW.verification_sequence IS NOT OLD.verification_sequence
    OR NEW.expired_at_ms IS NOT OLD.expired_at_ms
    OR NEW.authorization_sequence IS NOT OLD.authorization_sequence OR NEW.known_at_ms <> OLD.known_at_ms
  BEGIN SELECT RAISE(ABORT, 'outgoing_message rows are facts'); END;
CREATE TRIGGER outgoing_message_is_kept BEFORE DELETE ON outgoing_message
  BEGIN SELECT RAISE(ABORT, 'outgoing_message rows are facts'); END;
CREATE TRIGGER outgoing_attempt_is_a_record BEFORE UPDATE ON outgoing_attempt
  BEGIN SELECT RAISE(ABORT, 'outgoing_attempt rows are facts'); END;
CREATE TRIGGER outgoing_attempt_is_kept BEFORE DELETE ON outgoing_attempt
  WHEN EXISTS (SELECT 1 FROM outgoing_delivery AS d
               JOIN outgoing_message AS m ON m.message_no = d.message_no
               WHERE d.delivery_no = OLD.delivery_no AND m.body IS NOT NULL)
  BEGIN SELECT RAISE(ABORT, 'outgoing_attempt rows are facts'); END;

-- `INSERT OR REPLACE` deletes what is in its way without asking the triggers above.
CREATE TRIGGER delivery_is_not_replaced BEFORE INSERT ON delivery
  WHEN EXISTS (SELECT 1 FROM delivery
               WHERE delivery_id = NEW.delivery_id OR body_sha256 = NEW.body_sha256)
  BEGIN SELECT RAISE(ABORT, 'delivery rows are facts'); END;
CREATE TRIGGER delivery_outcome_is_not_replaced BEFORE INSERT ON delivery_outcome
  WHEN EXISTS (SELECT 1 FROM delivery_outcome
               WHERE delivery_id = NEW.delivery_id AND outcome_no = NEW.outcome_no)
  BEGIN SELECT RAISE(ABORT, 'delivery_outcome rows are facts'); END;
CREATE TRIGGER verification_event_is_not_replaced BEFORE INSERT ON verification_event
  WHEN EXISTS (SELECT 1 FROM verification_event
               WHERE sequence = NEW.sequence OR delivery_id = NEW.delivery_id)
  BEGIN SELECT RAISE(ABORT, 'verification_event rows are facts'); END;
CREATE TRIGGER authorization_event_is_not_replaced BEFORE INSERT ON authorization_event
  WHEN EXISTS (SELECT 1 FROM authorization_event WHERE sequence = NEW.sequence)
  BEGIN SELECT RAISE(ABORT, 'authorization_event rows are facts'); END;
CREATE TRIGGER signature_evidence_is_not_replaced BEFORE INSERT ON signature_evidence
  WHEN EXISTS (SELECT 1 FROM signature_evidence WHERE sequence = NEW.sequence)
  BEGIN SELECT RAISE(ABORT, 'signature_evidence rows are facts'); END;
CREATE TRIGGER outgoing_message_is_not_replaced BEFORE INSERT ON outgoing_message
  WHEN EXISTS (SELECT 1 FROM outgoing_message
               WHERE message_no = NEW.message_no OR message_id = NEW.message_id
                  OR verification_sequence = NEW.verification_sequence
                  OR (organization_id = NEW.organization_id AND expired_at_ms = NEW.expired_at_ms)
                  OR authorization_sequence = NEW.authorization_sequence)
  BEGIN SELECT RAISE(ABORT, 'outgoing_message rows are facts'); END;
CREATE TRIGGER outgoing_attempt_is_not_replaced BEFORE INSERT ON outgoing_attempt
  WHEN EXISTS (SELECT 1 FROM outgoing_attempt WHERE attempt_no = NEW.attempt_no)
  BEGIN SELECT RAISE(ABORT, 'outgoing_attempt rows are facts'); END;

-- What a register, an organization and an LOA are is settled when they are made.
CREATE TRIGGER register_stays_what_it_is BEFORE UPDATE ON register
  WHEN NEW.environment <> OLD.environment OR NEW.created_at_ms <> OLD.created_at_ms
  BEGIN SELECT RAISE(ABORT, 'a register stays what it is'); END;
CREATE TRIGGER register_is_kept BEFORE DELETE ON register
  BEGIN SELECT RAISE(ABORT, 'a register stays what it is'); END;
CREATE TRIGGER register_is_not_replaced BEFORE INSERT ON register
  WHEN EXISTS (SELECT 1 FROM register)
  BEGIN SELECT RAISE(ABORT, 'a register stays what it is'); END;
CREATE TRIGGER organization_stays_what_it_is BEFORE UPDATE ON organization
  WHEN NEW.organization_id <> OLD.organization_id OR NEW.type <> OLD.type
    OR NEW.created_by IS NOT OLD.created_by OR NEW.created_at_ms <> OLD.created_at_ms
  BEGIN SELECT RAISE(ABORT, 'an organization stays what it is'); END;
CREATE TRIGGER organization_is_not_replaced BEFORE INSERT ON organization
  WHEN EXISTS (SELECT 1 FROM organization WHERE organization_id = NEW.organization_id)
  BEGIN SELECT RAISE(ABORT, 'an organization stays what it is'); END;
CREATE TRIGGER authorization_stays_between_its_parties BEFORE UPDATE ON authorization
  WHEN NEW.authorization_id <> OLD.authorization_id OR NEW.public_id <> OLD.public_id
    OR NEW.granting <> OLD.granting OR NEW.authorized <> OLD.authorized OR NEW.type <> OLD.type
    OR NEW.created_at_ms <> OLD.created_at_ms
  BEGIN SELECT RAISE(ABORT, 'an LOA stays between its parties'); END;
CREATE TRIGGER authorization_is_kept BEFORE DELETE ON authorization
  BEGIN SELECT RAISE(ABORT, 'an LOA stays between its parties'); END;
CREATE TRIGGER authorization_is_not_replaced BEFORE INSERT ON authorization
  WHEN EXISTS (SELECT 1 FROM authorization
               WHERE authorization_id = NEW.authorization_id OR public_id = NEW.public_id
                  OR (granting = NEW.granting AND authorized = NEW.authorized AND type = NEW.type
                      AND status IN ('PENDING', 'ACTIVE') AND NEW.status IN ('PENDING', 'ACTIVE')))
  BEGIN SELECT RAISE(ABORT, 'an LOA stays between its parties'); END;
