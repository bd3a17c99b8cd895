//! A customer presses the button on the hand-off page, or the `WebSDK` asks for a fresh token: the
//! same applicant, by a link instead of an API key.

use crate::domain::authorization::{Acting, Purpose};
use crate::domain::handoff::Stage;
use crate::store::Cause;
use crate::sumsub::AccessToken;
use crate::usecase::authenticate::Admission;
use crate::usecase::handoff_links::LinkToken;
use crate::usecase::open_link::open_link;
use crate::usecase::start_session::{Door, begin};
use crate::usecase::{Appliance, Failure};

/// What a link's holder gets.
#[derive(Debug)]
pub enum Resumed {
    /// A fresh token.
    Token(AccessToken),
    /// Nothing is to be verified at this stage.
    Closed(Stage),
    /// There is no such link.
    Unknown,
}

/// Mints a token for a link's customer. A session for the broker, exactly as if the broker had
/// asked: the gate is the same, and so is the fact.
pub fn resume_session(
    appliance: &Appliance,
    token: &LinkToken,
    request_id: &str,
) -> Result<Resumed, Failure> {
    let Some(sitting) = open_link(appliance, token)? else { return Ok(Resumed::Unknown) };
    if !sitting.stage.opens_verification() {
        return Ok(Resumed::Closed(sitting.stage));
    }
    let acting = Acting::on_behalf(
        sitting.broker.id,
        sitting.customer.id,
        Purpose::Verify,
        Some(sitting.authorization.status),
        sitting.progress.standing,
    )
    .map_err(Failure::AuthorizationRequired)?;
    // Not by a key: the link is looked at in the commit, and the LOA with it.
    let by_link = (Cause::Request(request_id.to_owned()), Admission::of_operator());
    match begin(appliance, &acting, by_link, Door::Open(token.sha256())) {
        Ok(begun) => Ok(Resumed::Token(begun.access_token)),
        // Link or letter have ended, or the verification has, while Sumsub was asked.
        Err(failure @ (Failure::AuthorizationRequired(_) | Failure::VerificationRejected)) => {
            match open_link(appliance, token)? {
                Some(it) if it.stage.opens_verification() => Err(failure),
                Some(it) => Ok(Resumed::Closed(it.stage)),
                None => Ok(Resumed::Unknown),
            }
        }
        Err(failure) => Err(failure),
    }
}
