//! The customer's pages: sign the Letter of Authorization and be verified, in one sitting, by one
//! link. Served for paths under `/h/`, beside the API.
//!
//! ```text
//! GET  /h/{token}                   the step that the customer is at; opening it spends nothing
//! POST /h/{token}/sign              the form
//! POST /h/{token}/access-token      the button, and the WebSDK's refresh handler
//! GET  /h/{token}/status            where the customer stands; ?stage=…&wait=… answers on a change
//! GET  /h/{token}/sign              and access-token: back to the page, for a page that is loaded again
//! GET  /h/{token}/receipt           for people; receipt.json for programs, letter.txt the signed text
//! GET  /h/assets/{name}             style and script
//! ```
//! What mail and chat programs append to an address is left out (`place`).
//! The token in the path is the whole capability: there are no cookies. Everything works without
//! scripts up to Sumsub's own frame. Pages are maud templates, which escape what they show.

mod assets;
mod bounds;
mod letter;
mod page;
mod place;
mod receipt;
mod sign;
mod text;
mod verify;

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::domain::handoff::{AddressHeaders, Stage};
use crate::http::client_address::TrustedProxies;
use crate::http::{Request, Response};
use crate::reloadable::Reloadable;
use crate::usecase::create_organization::new_id;
use crate::usecase::handoff_links::{Handoff, LINK_PATH, LinkToken};
use crate::usecase::open_link::{Sitting, open_link};
use crate::usecase::waits::Waits;
use crate::usecase::{Appliance, Failure};
use bounds::Bounds;
use place::Place;
use text::{ENGLISH, Text};

pub use bounds::PageLimits;

/// What an operator may set about the pages.
#[derive(Clone, Debug)]
pub struct PageSettings {
    /// How often a link and an address may be used.
    pub limits: PageLimits,
    /// Whose word about a customer's address counts.
    pub trusted_proxies: Reloadable<TrustedProxies>,
    /// How many browsers may wait for a change at once; more are answered at once.
    pub waits_max: usize,
}

impl Default for PageSettings {
    fn default() -> Self {
        Self {
            limits: PageLimits::default(),
            trusted_proxies: Reloadable::default(),
            waits_max: 256,
        }
    }
}

/// The pages of an appliance.
pub struct Pages {
    appliance: Arc<Appliance>,
    trusted_proxies: Reloadable<TrustedProxies>,
    bounds: Bounds,
    waits: Waits,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("appliance", &self.appliance).finish_non_exhaustive()
    }
}

/// Whether a path is one of ours.
pub fn is_page(path: &str) -> bool {
    below_links(path).is_some()
}

/// What follows `/h/`, or `/H/`: QR codes are smallest in upper case.
fn below_links(path: &str) -> Option<&str> {
    let (start, rest) = path.split_at_checked(LINK_PATH.len())?;
    start.eq_ignore_ascii_case(LINK_PATH).then_some(rest)
}

impl Pages {
    /// The pages of an appliance.
    pub fn new(appliance: Arc<Appliance>, settings: PageSettings) -> Self {
        Self {
            appliance,
            trusted_proxies: settings.trusted_proxies,
            bounds: Bounds::new(&settings.limits),
            waits: Waits::new(settings.waits_max),
        }
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Response {
        let visit = Visit {
            pages: self,
            appliance: &self.appliance,
            request,
            text: &ENGLISH,
            id: new_id("req_", (self.appliance.clock)()),
            link: RefCell::default(),
        };
        let mut response = visit.answer().unwrap_or_else(|refusal| visit.refuse(&refusal));
        // The path holds the link's secret: a log names the link by its id.
        tracing::info!(
            target: "request",
            id = visit.id,
            method = request.method,
            route = "/h/{token}",
            link = visit.link.borrow().as_deref(),
            code = response.status,
        );
        response.headers.push(("X-Request-Id", visit.id));
        response
    }
}

/// One request on its way.
struct Visit<'a> {
    pages: &'a Pages,
    appliance: &'a Appliance,
    request: &'a Request,
    text: &'a Text,
    id: String,
    /// The id of the link that was opened.
    link: RefCell<Option<String>>,
}

/// Why a page is not shown.
enum Refusal {
    /// There is no such link, page or file: one answer for all, so that it tells nothing.
    Unknown,
    /// Another method; these work.
    NotAllowed(&'static str),
    /// A form of another site.
    Foreign,
    /// Too many requests; seconds to wait.
    TooOften(u64),
    /// A use-case failed.
    Failure(Failure),
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl Visit<'_> {
    fn answer(&self) -> Result<Response, Refusal> {
        let method = match self.request.method.as_str() {
            "HEAD" => "GET",
            other => other,
        };
        let address = self.address();
        self.pages.bounds.count_visit(address)?;
        let path = below_links(self.request.path()).unwrap_or_default();
        if let ("GET", Some(name)) = (method, path.strip_prefix("assets/")) {
            return assets::find(name).ok_or(Refusal::Unknown);
        }
        let Place { token, page } = Place::read(path).ok_or(Refusal::Unknown)?;
        let page: Vec<&str> = page.iter().map(String::as_str).collect();
        let sitting = open_link(self.appliance, &token)?.ok_or(Refusal::Unknown)?;
        *self.link.borrow_mut() = Some(sitting.link.id.clone());
        self.pages.bounds.count_link(&sitting.link.id)?;
        match (method, page.as_slice()) {
            ("GET", []) => Ok(self.step(&token, &sitting)),
            ("GET", ["status"]) => verify::status(self, &token),
            ("GET", ["receipt"]) => receipt::show(self, &token, &sitting),
            ("GET", ["receipt.json"]) => receipt::for_programs(self, &token, &sitting),
            ("GET", ["letter.txt"]) => receipt::letter(self, &token, &sitting),
            (_, [] | ["status" | "receipt" | "receipt.json" | "letter.txt"]) => {
                Err(Refusal::NotAllowed("GET, HEAD"))
            }
            ("POST", ["sign"]) => {
                self.own_site_only()?;
                self.pages.bounds.count_deed(&sitting.link.id)?;
                sign::sign(self, &token, address)
            }
            ("POST", ["access-token"]) => {
                self.own_site_only()?;
                self.pages.bounds.count_deed(&sitting.link.id)?;
                verify::access_token(self, &token)
            }
            // The address bar shows this after a mistake in the form: a tab that is restored, a bookmark.
            ("GET", ["sign" | "access-token"]) => Ok(sign::see_page(&token)),
            (_, ["sign" | "access-token"]) => Err(Refusal::NotAllowed("GET, HEAD, POST")),
            _ => Err(Refusal::Unknown),
        }
    }

    /// The page of the step that the customer is at.
    fn step(&self, token: &LinkToken, sitting: &Sitting) -> Response {
        match sitting.stage {
            Stage::Sign => sign::form(self, token, sitting, &sign::Entered::nothing(self, sitting)),
            Stage::Verify | Stage::Repeat | Stage::Review | Stage::Hold => {
                verify::show(self, token, sitting)
            }
            Stage::Done
            | Stage::Rejected
            | Stage::Revoked
            | Stage::Ended
            | Stage::Withdrawn
            | Stage::Expired => page::ending(self, token, sitting),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let text = self.text;
        match refusal {
            Refusal::Unknown => page::plain(text, 404, &text.unknown),
            Refusal::NotAllowed(methods) => {
                let mut response = page::plain(text, 405, &text.not_allowed);
                response.headers.push(("Allow", (*methods).to_owned()));
                response
            }
            Refusal::Foreign => page::plain(text, 403, &text.foreign),
            Refusal::TooOften(seconds) => {
                let mut response = page::plain(text, 429, &text.too_often);
                response.headers.push(("Retry-After", seconds.to_string()));
                response
            }
            Refusal::Failure(failure) => {
                let status = match failure {
                    Failure::Busy => 503,
                    Failure::Provider(_) => 502,
                    _ => 500,
                };
                let cause = failure.to_string();
                tracing::error!(request = self.id, status, cause, "page failed");
                let mut response = page::plain(text, status, &text.failed);
                if status == 503 {
                    response.headers.push(("Retry-After", "1".to_owned()));
                }
                response
            }
        }
    }

    /// Other sites cannot know the token in the path; browsers say all the same where a form comes
    /// from, and what they say is heeded. `Origin` is `null` on forms of a page without referrer.
    fn own_site_only(&self) -> Result<(), Refusal> {
        let is_foreign_fetch =
            self.request.header("sec-fetch-site").is_some_and(|it| it != "same-origin");
        let public = self.appliance.handoff.as_ref().map(|it| it.public_url.as_str());
        let is_foreign_origin = self
            .request
            .header_values("origin")
            .any(|it| it != "null" && Some(it.trim_end_matches('/')) != public);
        if is_foreign_fetch || is_foreign_origin { Err(Refusal::Foreign) } else { Ok(()) }
    }

    fn address(&self) -> Option<IpAddr> {
        self.pages.trusted_proxies.get().client_address(self.request)
    }

    fn address_headers(&self) -> Option<AddressHeaders> {
        let claims = self.pages.trusted_proxies.get().claims(self.request)?;
        Some(AddressHeaders { headers: claims.headers, disagree: claims.disagree })
    }

    fn handoff(&self) -> Result<&Handoff, Refusal> {
        self.appliance.handoff.as_deref().ok_or(Refusal::Unknown)
    }
}

/// A path under a link.
fn path(token: &LinkToken, page: &str) -> String {
    let slash = if page.is_empty() { "" } else { "/" };
    format!("{LINK_PATH}{}{slash}{page}", token.expose())
}
