-- From version 1 to 2: whose verdict counts, what a decision was based on, and what is known of the
-- clock behind a fact. Facts of before keep NULL there, and fold as they did.
CREATE TABLE new_delivery_outcome (
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
INSERT INTO new_delivery_outcome (delivery_id, outcome_no, outcome, organization_id, known_at_ms)
  SELECT delivery_id, outcome_no, outcome, organization_id, known_at_ms FROM delivery_outcome;
DROP TABLE delivery_outcome;
ALTER TABLE new_delivery_outcome RENAME TO delivery_outcome;

CREATE TABLE new_verification_event (
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
INSERT INTO new_verification_event
    (sequence, organization_id, event, happened_at_ms, known_at_ms, applicant_id, begun_at_ms, valid_days,
     delivery_id, actor, reason, request_id, asked_at_ms)
  SELECT sequence, organization_id, event, happened_at_ms, known_at_ms, applicant_id, begun_at_ms, valid_days,
         delivery_id, actor, reason, request_id, asked_at_ms
  FROM verification_event;
DROP TABLE verification_event;
ALTER TABLE new_verification_event RENAME TO verification_event;
CREATE INDEX verification_event_by_organization ON verification_event (organization_id, sequence);
CREATE UNIQUE INDEX verification_event_by_delivery ON verification_event (delivery_id)
  WHERE delivery_id IS NOT NULL;
CREATE INDEX verification_event_by_asking ON verification_event (asked_at_ms)
  WHERE asked_at_ms IS NOT NULL;
CREATE INDEX verification_event_unsure ON verification_event (boot_id, sequence)
  WHERE uptime_ms IS NOT NULL;

CREATE INDEX import_attempt_open ON import_attempt (organization_id) WHERE ended_at_ms IS NULL;

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
CREATE TABLE awaiting_provider (
  delivery_id      INTEGER PRIMARY KEY REFERENCES delivery (delivery_id)
) STRICT;
CREATE TABLE clock (
  only_row        INTEGER PRIMARY KEY CHECK (only_row = 1),
  boot_id         TEXT    NOT NULL,           -- in which run of the machine
  offset_ms       INTEGER NOT NULL,           -- Sumsub's clock minus the machine's
  base_ms         INTEGER NOT NULL,           -- the machine's clock minus its uptime, when it was measured
  measured_at_ms  INTEGER NOT NULL            -- when, by the machine's clock
) STRICT;

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
               WHERE message_no = NEW.message_no OR message_id = NEW.message_id)
  BEGIN SELECT RAISE(ABORT, 'outgoing_message rows are facts'); END;
CREATE TRIGGER outgoing_attempt_is_not_replaced BEFORE INSERT ON outgoing_attempt
  WHEN EXISTS (SELECT 1 FROM outgoing_attempt WHERE attempt_no = NEW.attempt_no)
  BEGIN SELECT RAISE(ABORT, 'outgoing_attempt rows are facts'); END;
