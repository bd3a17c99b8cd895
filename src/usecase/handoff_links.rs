//! Hand-off links: the address by which a customer signs the letter and is verified in one sitting.
//! An unsigned letter has one live link: every session answers with it, until it is revoked or ends.
//! A link's token is derived from the server's key file and the link's id; the register keeps its
//! SHA-256, by which a token of another key file is noticed. While the key is lost, a token is random:
//! its link works, and cannot be shown again.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::domain::authorization::Authorization;
use crate::domain::handoff::LinkStatus;
use crate::domain::letter::LetterTemplate;
use crate::domain::organization::OrganizationId;
use crate::domain::timestamp::Timestamp;
use crate::outbox::WebhookKey;
use crate::reloadable::Reloadable;
use crate::store::{HandoffLink, LinkFilter, Reader, Tx};
use crate::usecase::authorizations::{By, Page, page};
use crate::usecase::create_organization::new_id;
use crate::usecase::open_link::Course;
use crate::usecase::webhook_key::key_for_links;
use crate::usecase::{Appliance, Failure};

/// The path under which every link stands.
pub const LINK_PATH: &str = "/h/";
/// Characters of a token; five bits each, so 160 bits.
const TOKEN_CHARACTERS: usize = 32;
/// 32 letters of which no two are mistaken for each other when read aloud or typed.
const TOKEN_LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DAY_MS: i64 = 86_400_000;
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
    pub letter: Reloadable<LetterTemplate>,
    /// Where a browser finds Sumsub.
    pub websdk: WebSdk,
    /// How many days a new link can sign.
    pub link_days: u32,
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
    /// The token of the link with this id on a server with this key.
    fn of(key: &WebhookKey, link_id: &str) -> Self {
        let bytes: [u8; TOKEN_CHARACTERS] = key.link_secret(link_id);
        Self::spelled(&bytes)
    }

    /// A token that nothing leads back to.
    fn random() -> Result<Self, Failure> {
        let mut bytes = [0_u8; TOKEN_CHARACTERS];
        getrandom::fill(&mut bytes).map_err(|_os| Failure::NoRandomness)?;
        Ok(Self::spelled(&bytes))
    }

    fn spelled(bytes: &[u8; TOKEN_CHARACTERS]) -> Self {
        let letter = |byte: &u8| TOKEN_LETTERS.get(usize::from(*byte & 31)).copied();
        Self(bytes.iter().filter_map(letter).map(char::from).collect())
    }

    /// Reads the text that stands in a path; `None`: no link ever had it. Upper case is read too, and
    /// the letters that are left out because they look like digits are read as those digits.
    pub fn parse(text: &str) -> Option<Self> {
        let letter = |byte: u8| match byte.to_ascii_lowercase() {
            b'i' | b'l' => Some('1'),
            b'o' => Some('0'),
            it => TOKEN_LETTERS.contains(&it).then(|| char::from(it)),
        };
        if text.len() != TOKEN_CHARACTERS {
            return None;
        }
        text.bytes().map(letter).collect::<Option<String>>().map(Self)
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

/// What it takes to make links: the settings, and the key that tokens are derived from, unless it is
/// lost.
pub(super) struct LinkMaker {
    pub(super) handoff: Arc<Handoff>,
    pub(super) key: Option<WebhookKey>,
}

impl LinkMaker {
    /// That of an appliance; `None`: it has no customers' pages.
    pub(super) fn of(appliance: &Appliance) -> Option<Self> {
        let handoff = Arc::clone(appliance.handoff.as_ref()?);
        Some(Self { handoff, key: key_for_links(appliance) })
    }

    /// The link of a live LOA with its address: the one that leads on and whose address can still be
    /// derived, or else a new one. Decided in the caller's transaction, so that of two sessions at
    /// once both answer with the same link.
    pub(super) fn link_to(
        &self,
        tx: &Tx<'_>,
        to: &Authorization,
        by: By,
        now: Timestamp,
    ) -> Result<(HandoffLink, String), Failure> {
        let (signature, course) = (tx.signature(to.id)?, Course::of(**tx, &to.granting)?);
        for link in tx.unrevoked_links_to(to.id)? {
            let Some(key) = &self.key else { break };
            let token = LinkToken::of(key, &link.id);
            // Another hash is of another key file, or of a random token as links once had.
            let is_derived = tx.handoff_link(&token.sha256())?.is_some_and(|it| it.id == link.id);
            let (stage, _) = course.stage(&link, to, signature.as_ref(), now);
            if is_derived && !stage.is_end() {
                return Ok((link, self.handoff.url(&token)));
            }
        }
        let id = new_id("link_", now);
        let token = match &self.key {
            Some(key) => LinkToken::of(key, &id),
            None => LinkToken::random()?,
        };
        let link = HandoffLink {
            id,
            authorization_id: to.id,
            created_at: now,
            created_by: by.actor,
            request_id: by.request_id,
            revoked_at: None,
            expires_at: now.plus_ms(i64::from(self.handoff.link_days).saturating_mul(DAY_MS)),
        };
        tx.insert_handoff_link(&link, &token.sha256())?;
        Ok((link, self.handoff.url(&token)))
    }
}

/// A link with the LOA that it leads to.
#[derive(Clone, Debug)]
pub struct ListedLink {
    /// The link.
    pub link: HandoffLink,
    /// Its LOA.
    pub authorization: Authorization,
    /// What it is good for now.
    pub status: LinkStatus,
}

/// Every link, or those to which an organization is a party, newest first.
pub fn list_links(
    appliance: &Appliance,
    party: Option<&OrganizationId>,
) -> Result<Vec<ListedLink>, Failure> {
    let now = (appliance.clock)();
    appliance.store.snapshot(|register| listed(*register, register.handoff_links(party)?, now))
}

/// A page of the links to which an organization is a party, newest first.
pub fn page_of_links(
    appliance: &Appliance,
    filter: &LinkFilter,
) -> Result<Page<ListedLink>, Failure> {
    let now = (appliance.clock)();
    let one_more = LinkFilter { limit: filter.limit.saturating_add(1), ..filter.clone() };
    let rows = appliance
        .store
        .snapshot(|register| listed(*register, register.handoff_link_page(&one_more)?, now))?;
    Ok(page(rows, filter.limit))
}

/// Links with their LOAs.
pub(super) fn listed(
    register: Reader<'_>,
    links: Vec<HandoffLink>,
    now: Timestamp,
) -> Result<Vec<ListedLink>, Failure> {
    // Links of one customer often stand together, and its history may be long.
    let mut last: Option<(OrganizationId, Course)> = None;
    let mut listed = Vec::new();
    for link in links {
        let authorization = register.authorization(link.authorization_id)?;
        let (_, course) = match last.take() {
            Some((of, course)) if of == authorization.granting => last.insert((of, course)),
            _ => {
                let of = authorization.granting.clone();
                let course = Course::of(register, &of)?;
                last.insert((of, course))
            }
        };
        let signature = register.signature(authorization.id)?;
        let (stage, _) = course.stage(&link, &authorization, signature.as_ref(), now);
        let status = LinkStatus::of(stage, authorization.status);
        listed.push(ListedLink { link, authorization, status });
    }
    Ok(listed)
}

/// Shows the address of an LOA's link again, or creates a link if none leads on: the customer's letter
/// is unsigned, or signed and its verification not done.
pub fn issue_link(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
    by: By,
) -> Result<(HandoffLink, String), Failure> {
    let maker = LinkMaker::of(appliance).ok_or_else(|| {
        Failure::Invalid(
            "there are no links while no public address is configured: set it with --public-url"
                .to_owned(),
        )
    })?;
    let (granting, authorized) = (granting.clone(), authorized.clone());
    let timekeeper = Arc::clone(&appliance.timekeeper);
    appliance.store.write(move |tx| {
        tx.organization(&granting)?.ok_or(Failure::OrganizationNotFound)?;
        let live =
            tx.live_authorization(&granting, &authorized)?.ok_or(Failure::AuthorizationNotFound)?;
        maker.link_to(tx, &live, by, timekeeper.moment().known_at)
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
    fn a_token_is_long_derived_and_reads_back() {
        let key = WebhookKey::new([7; 32]);
        let (one, other) = (LinkToken::of(&key, "link_1"), LinkToken::of(&key, "link_2"));

        assert_eq!(one.expose().len() * 5, 160);
        assert_ne!(one, other);
        assert_eq!(one, LinkToken::of(&key, "link_1"));
        assert_ne!(one, LinkToken::of(&WebhookKey::new([8; 32]), "link_1"));
        assert_eq!(LinkToken::parse(one.expose()), Some(one.clone()));
        assert_eq!(LinkToken::parse(&one.expose().to_uppercase()), Some(one.clone()));
        let typed = one.expose().replace('1', "l").replace('0', "O");
        assert_eq!(LinkToken::parse(&typed), Some(one.clone()));
        assert_eq!(format!("{one:?}"), "LinkToken(…)");
        for refused in [
            "",
            "assets",
            "0123456789abcdefghjkmnpqrstvwxy",
            "0123456789abcdefghjkmnpqrstvwxyu",
            &format!("{}0", one.expose()),
        ] {
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
