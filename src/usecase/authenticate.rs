//! Who calls, for whom, and may they: the contract's first three checks, from one read. They are asked
//! once more in the commit of whatever the caller writes ([`Admission`], contract 9.4).

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::{Acting, Purpose};
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{Access, KeyFacts, Reader, Subject};
use crate::usecase::{Appliance, Failure};

/// What an API key begins with; the environment follows.
pub const KEY_PREFIX: &str = "nxos_sk_";
/// No key of ours is longer; longer ones are not even hashed.
const KEY_BYTES_MAX: usize = 128;

/// A request that has passed the gate.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The proof.
    pub acting: Acting,
    /// The organization that the request is about.
    pub subject: Subject,
    /// The key that was used.
    pub key: KeyFacts,
    /// What the gate was asked for.
    pub purpose: Purpose,
    /// By what right the caller writes.
    pub admission: Admission,
}

/// By what right something is written. What was true when a request came in may have ended while Sumsub
/// was asked or the write waited in its queue, so the commit asks again.
#[derive(Clone)]
pub struct Admission(Right);

#[derive(Clone)]
enum Right {
    /// An operator of this machine, or a link that the use-case itself looks at.
    Operator,
    /// No API key was ever found to be right.
    Nobody,
    /// An API key.
    Key { sha256: [u8; 32], on_behalf_of: Option<OrganizationId>, purpose: Purpose },
}

impl Admission {
    /// An operator's: commands and the console need no key.
    pub fn of_operator() -> Self {
        Self(Right::Operator)
    }

    /// Nobody's: whatever is written by it is refused.
    pub fn of_nobody() -> Self {
        Self(Right::Nobody)
    }

    /// Asks key, organization and LOA again, on the register as it is in this transaction. Answers the
    /// caller; `None`: an operator.
    ///
    /// # Errors
    /// The refusals of [`authenticate`].
    pub(super) fn ask(
        &self,
        register: Reader<'_>,
        now: Timestamp,
    ) -> Result<Option<Caller>, Failure> {
        match &self.0 {
            Right::Operator => Ok(None),
            Right::Nobody => Err(Failure::InvalidApiKey),
            Right::Key { sha256, on_behalf_of, purpose } => {
                let access = register.access(sha256, on_behalf_of.as_ref())?;
                Ok(Some(admitted(access, self, *purpose, now)?))
            }
        }
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission(…)")
    }
}

/// Checks key, header and LOA, in this order (contract §5). `on_behalf_of` is the header's value;
/// the caller's own id counts as absent.
pub fn authenticate(
    appliance: &Appliance,
    api_key: &str,
    on_behalf_of: Option<&OrganizationId>,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Caller, Failure> {
    let secret = api_key
        .strip_prefix(KEY_PREFIX)
        .and_then(|it| it.strip_prefix(appliance.rules.environment.as_str()))
        .and_then(|it| it.strip_prefix('_'));
    if secret.is_none() || api_key.len() > KEY_BYTES_MAX {
        return Err(Failure::InvalidApiKey);
    }
    let sha256 = key_sha256(api_key);
    let access = appliance.store.read(|register| register.access(&sha256, on_behalf_of))?;
    let right = Right::Key { sha256, on_behalf_of: on_behalf_of.cloned(), purpose };
    admitted(access, &Admission(right), purpose, now)
}

/// The checks themselves, on what was read.
fn admitted(
    access: Option<Access>,
    admission: &Admission,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Caller, Failure> {
    let access = access.filter(|it| it.key.is_active(now)).ok_or(Failure::InvalidApiKey)?;
    let subject = access.subject.ok_or(Failure::OrganizationNotFound)?;
    let acting = if subject.id == access.caller {
        Acting::for_itself(access.caller)
    } else {
        let standing = subject.verification.at(now);
        let (id, live) = (subject.id.clone(), subject.authorization);
        Acting::on_behalf(access.caller, id, purpose, live, standing)
            .map_err(Failure::AuthorizationRequired)?
    };
    Ok(Caller { acting, subject, key: access.key, purpose, admission: admission.clone() })
}

/// What the register keeps of a key.
pub(crate) fn key_sha256(api_key: &str) -> [u8; 32] {
    Sha256::digest(api_key.as_bytes()).into()
}
