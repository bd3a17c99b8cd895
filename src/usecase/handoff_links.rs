//! Hand-off links: the address by which a customer signs the letter and is verified in one sitting.
//! Made with a session, listed, revoked, made again. A link's token is told once; the register keeps
//! its SHA-256.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::{Authorization, AuthorizationStatus};
use crate::domain::letter::LetterTemplate;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::store::{HandoffLink, Tx};
use crate::usecase::authorizations::By;
use crate::usecase::create_organization::new_id;
use crate::usecase::{Appliance, Failure};

/// The path under which every link stands.
pub const LINK_PATH: &str = "/h/";
/// Characters of a token; five bits each, so 160 bits.
const TOKEN_CHARACTERS: usize = 32;
/// 32 letters of which no two are mistaken for each other when read aloud or typed.
const TOKEN_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Sumsub's API, whose browser SDK has addresses of its own.
const SUMSUB_URL: &str = "https://api.sumsub.com";
/// Sumsub's script, under the host that it stands on.
const SCRIPT_PATH: &str = "/idensic/static/sns-websdk-builder.js";

/// What the operator configured for the customers' pages.
#[derive(Clone, Debug)]
pub struct Handoff {
    /// Where customers reach this server: `https://host`, without a slash at the end.
    pub public_url: String,
    /// The letter to sign.
    pub letter: LetterTemplate,
    /// Where a browser finds Sumsub.
    pub websdk: WebSdk,
}

/// Where a browser finds Sumsub's `WebSDK`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSdk {
    /// The script's address.
    pub script: String,
    /// The origin of the script.
    pub script_origin: String,
    /// The origins of the frame that the script opens.
    pub frame_origins: Vec<String>,
}

impl WebSdk {
    /// What belongs to the Sumsub whose API is at `api_url`: its real static host, or everything on
    /// the simulator's one.
    pub fn of(api_url: &str) -> Self {
        let (script_origin, frame_origins) = if api_url == SUMSUB_URL {
            // A token's own `url` names the API's host; older tokens have none, and then the SDK
            // falls back to the hosted pages' host (read off the npm package, 2.9.0).
            let frames = [SUMSUB_URL, "https://in.sumsub.com"].map(str::to_owned).to_vec();
            ("https://static.sumsub.com", frames)
        } else {
            (api_url, vec![api_url.to_owned()])
        };
        Self {
            script: format!("{script_origin}{SCRIPT_PATH}"),
            script_origin: script_origin.to_owned(),
            frame_origins,
        }
    }
}

/// The secret part of a link. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken(String);

impl LinkToken {
    /// A new one, from the system's randomness.
    pub fn random() -> Result<Self, Failure> {
        let mut bytes = [0_u8; TOKEN_CHARACTERS];
        getrandom::fill(&mut bytes).map_err(|_os| Failure::NoRandomness)?;
        let letter = |byte: &u8| TOKEN_LETTERS.get(usize::from(*byte & 31)).copied();
        Ok(Self(bytes.iter().filter_map(letter).map(char::from).collect()))
    }

    /// Reads the text that stands in a path; `None`: no link ever had it.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == TOKEN_CHARACTERS
            && text.bytes().all(|byte| TOKEN_LETTERS.contains(&byte));
        fits.then(|| Self(text.to_owned()))
    }

    /// The token itself, for the address and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the register keeps of it.
    pub(super) fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(…)")
    }
}

impl Handoff {
    /// The address of a link.
    pub fn url(&self, token: &LinkToken) -> String {
        format!("{}{LINK_PATH}{}", self.public_url, token.expose())
    }
}

/// Adds a link to an LOA, in the caller's transaction.
pub(super) fn insert_link(
    tx: &Tx<'_>,
    to: &Authorization,
    token: &LinkToken,
    by: By,
    now: Timestamp,
) -> Result<HandoffLink, Failure> {
    let link = HandoffLink {
        id: new_id("link_", now),
        authorization_id: to.id,
        created_at: now,
        created_by: by.actor,
        request_id: by.request_id,
        revoked_at: None,
        expires_at: now.plus_ms(90 * 86_400_000),
    };
    tx.insert_handoff_link(&link, &token.sha256())?;
    Ok(link)
}

/// A link with the LOA that it leads to.
#[derive(Clone, Debug)]
pub struct ListedLink {
    /// The link.
    pub link: HandoffLink,
    /// Its LOA.
    pub authorization: Authorization,
}

/// Every link, or those to which an organization is a party, newest first.
pub fn list_links(
    appliance: &Appliance,
    party: Option<&OrganizationId>,
) -> Result<Vec<ListedLink>, Failure> {
    appliance.store.snapshot(|register| {
        let links = register.handoff_links(party)?;
        links
            .into_iter()
            .map(|link| {
                let authorization = register.authorization(link.authorization_id)?;
                Ok(ListedLink { link, authorization })
            })
            .collect()
    })
}

/// Makes a link again, or one more: the customer's letter is unsigned, or signed and its
/// verification not done. Answers the link and its address, which is told only here.
pub fn issue_link(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    by: By,
) -> Result<(HandoffLink, String), Failure> {
    let handoff = appliance.handoff.clone().ok_or_else(|| {
        Failure::Invalid(
            "there are no links while no public address is configured: set it with --public-url"
                .to_owned(),
        )
    })?;
    let token = LinkToken::random()?;
    let url = handoff.url(&token);
    let (granting, authorized) = (granting.clone(), authorized.clone());
    let clock = Arc::clone(&appliance.clock);
    appliance.store.write(move |tx| {
        tx.organization(&granting)?.ok_or(Failure::OrganizationNotFound)?;
        let live =
            tx.live_authorization(&granting, &authorized)?.ok_or(Failure::AuthorizationNotFound)?;
        debug_assert!(live.status != AuthorizationStatus::Revoked, "a revoked LOA is not live");
        Ok((insert_link(tx, &live, &token, by, clock())?, url))
    })
}

/// Stops a link at once. `false`: there is no link of that id that is not revoked already.
pub fn revoke_link(appliance: &Appliance, link_id: &str, by: &By) -> Result<bool, Failure> {
    let (id, actor, clock) = (link_id.to_owned(), by.actor.clone(), Arc::clone(&appliance.clock));
    appliance.store.write(move |tx| Ok(tx.revoke_handoff_link(&id, &actor, clock())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_long_random_and_reads_back() {
        let (one, other) = (LinkToken::random().unwrap(), LinkToken::random().unwrap());

        assert_eq!(one.expose().len() * 5, 160);
        assert_ne!(one, other);
        assert_eq!(LinkToken::parse(one.expose()), Some(one.clone()));
        assert_eq!(format!("{one:?}"), "LinkToken(…)");
        for refused in
            ["", "assets", "0123456789abcdefghjkmnpqrstvwxy", &format!("{}0", one.expose())]
        {
            assert_eq!(LinkToken::parse(refused), None);
        }
    }

    #[test]
    fn a_browser_finds_the_real_sumsub_on_its_own_hosts_and_a_simulator_on_one() {
        let real = WebSdk::of("https://api.sumsub.com");
        assert_eq!(real.script_origin, "https://static.sumsub.com");
        assert_eq!(real.script, "https://static.sumsub.com/idensic/static/sns-websdk-builder.js");
        assert_eq!(real.frame_origins, ["https://api.sumsub.com", "https://in.sumsub.com"]);
        assert_eq!(WebSdk::of("http://127.0.0.1:1").frame_origins, ["http://127.0.0.1:1"]);
    }
}
