-- From version 3 to 4: events for callers are kept, and no fact, organization or register can be pushed out
-- by a row that claims a place of its own.
DROP TRIGGER outgoing_message_is_not_replaced;
CREATE TRIGGER outgoing_message_is_not_replaced BEFORE INSERT ON outgoing_message
  WHEN EXISTS (SELECT 1 FROM outgoing_message
               WHERE message_no = NEW.message_no OR message_id = NEW.message_id
                  OR verification_sequence = NEW.verification_sequence
                  OR (organization_id = NEW.organization_id AND expired_at_ms = NEW.expired_at_ms)
                  OR authorization_sequence = NEW.authorization_sequence)
  BEGIN SELECT RAISE(ABORT, 'outgoing_message rows are facts'); END;
CREATE TRIGGER outgoing_message_is_kept BEFORE DELETE ON outgoing_message
  BEGIN SELECT RAISE(ABORT, 'outgoing_message rows are facts'); END;
CREATE TRIGGER outgoing_attempt_is_kept BEFORE DELETE ON outgoing_attempt
  WHEN EXISTS (SELECT 1 FROM outgoing_delivery AS d
               JOIN outgoing_message AS m ON m.message_no = d.message_no
               WHERE d.delivery_no = OLD.delivery_no AND m.body IS NOT NULL)
  BEGIN SELECT RAISE(ABORT, 'outgoing_attempt rows are facts'); END;

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
