//! What an operator sees: pages of lists, one organization whole, what a decision would take away,
//! and how the provider answers. Reads only; nothing here decides anything.

use crate::domain::authorization::AuthorizationStatus;
use crate::domain::fold::{Overrule, Verification};
use crate::domain::organization::{Organization, OrganizationId, OrganizationType};
use crate::domain::timestamp::Timestamp;
use crate::domain::verdict::Named;
use crate::domain::verification::Status;
use crate::store::{
    ActivityRow, AuthorizationRow, Delivery, DeliveryRow, Direction, IgnoredApproval,
    OrganizationOrder, OrganizationRow, OutgoingRow, Reader, RecordedFact, RowKey,
};
use crate::sumsub::SumsubError;
use crate::sumsub::wire::Webhook;
use crate::usecase::explain::{Explanation, explain};
use crate::usecase::handoff_links::{ListedLink, listed};
use crate::usecase::history::changes;
use crate::usecase::receive_webhook::rehearse_replay;
use crate::usecase::reconcile::{FindingKind, Mode, Report, Scope, reconcile};
use crate::usecase::{Appliance, Failure};

/// How many rows a filter looks at between two questions whether it is still wanted.
const CHUNK: u32 = 2_000;
/// The most rows that one organization's screen holds of each kind.
const DETAIL_ROWS_MAX: u32 = 200;
/// The most brokers whose gate is explained on one organization's screen.
const EXPLANATIONS_MAX: usize = 8;
/// An id that no applicant has: asking for it costs Sumsub one look-up and changes nothing.
const PROBED_ID: &str = "countersign-probe";

/// Where a page lies in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// The first page.
    Start,
    /// The last page.
    End,
    /// The page that begins with the row of this key.
    At(RowKey),
    /// The page right after this row.
    After(RowKey),
    /// The page right before this row.
    Before(RowKey),
}

/// Which organizations, in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// By what they are sorted.
    pub order: OrganizationOrder,
    /// Which way the list is read.
    pub direction: Direction,
    /// Only those with this status.
    pub status: Option<Status>,
}

impl Listing {
    /// Whether an index leads to a page; else every row before it is looked at.
    pub fn is_indexed(&self) -> bool {
        self.status.is_none() || self.order == OrganizationOrder::Created
    }
}

/// A page of organizations, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationPage {
    /// The rows.
    pub rows: Vec<OrganizationRow>,
    /// Whether the list goes on beyond the page, seen from the anchor.
    pub goes_on: bool,
}

/// What a search asks of the caller: whether a row belongs to the list, and, told how many rows were
/// looked at, whether to go on.
pub struct Search<'a> {
    /// Whether a row belongs to the list.
    pub keeps: &'a mut dyn FnMut(&OrganizationRow) -> bool,
    /// Whether the answer is still wanted after so many rows.
    pub is_wanted: &'a mut dyn FnMut(u64) -> bool,
}

/// Reads one page. With a search, walks the index until the page is full or the list ends; `None` if
/// nobody wanted the answer any more.
pub fn organizations(
    appliance: &Appliance,
    listing: Listing,
    anchor: &Anchor,
    limit: u32,
    mut search: Option<Search<'_>>,
) -> Result<Option<OrganizationPage>, Failure> {
    let is_forward = matches!(anchor, Anchor::Start | Anchor::At(_) | Anchor::After(_));
    let walk = if is_forward { listing.direction } else { opposite(listing.direction) };
    let (mut from, mut skips_first) = match anchor {
        Anchor::Start | Anchor::End => (RowKey::outermost(walk), false),
        Anchor::At(key) => (key.clone(), false),
        Anchor::After(key) | Anchor::Before(key) => (key.clone(), true),
    };
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let chunk = if search.is_some() { CHUNK } else { limit.saturating_add(2) };
    let now = (appliance.clock)();
    let (mut rows, mut seen) = (Vec::new(), 0_u64);
    loop {
        let read = appliance.store.read(|it| chunk_of(*it, listing, walk, &from, (chunk, now)))?;
        let is_last = read.len() < usize::try_from(chunk).unwrap_or(usize::MAX);
        seen = seen.saturating_add(u64::from(chunk));
        let last = read.last().map(|it| it.key(listing.order));
        let begun = read.into_iter().skip_while(|it| skips_first && it.id.as_str() == from.id);
        rows.extend(begun.filter(|it| {
            let has_status =
                listing.status.is_none_or(|it_is| it.verification.at(now).status == it_is);
            has_status && search.as_mut().is_none_or(|by| (by.keeps)(it))
        }));
        if rows.len() >= wanted || is_last {
            break;
        }
        if search.as_mut().is_some_and(|it| !(it.is_wanted)(seen)) {
            return Ok(None);
        }
        let Some(last) = last else { break };
        (from, skips_first) = (last, true);
    }
    let goes_on = rows.len() >= wanted;
    rows.truncate(wanted.saturating_sub(1));
    if !is_forward {
        rows.reverse();
    }
    Ok(Some(OrganizationPage { rows, goes_on }))
}

fn chunk_of(
    register: Reader<'_>,
    listing: Listing,
    walk: Direction,
    from: &RowKey,
    (limit, now): (u32, Timestamp),
) -> Result<Vec<OrganizationRow>, Failure> {
    Ok(match (listing.order, listing.status) {
        (OrganizationOrder::Created, Some(status)) => {
            register.organization_rows_of(status, walk, from, (limit, now))?
        }
        (order, _) => register.organization_rows(order, walk, from, limit)?,
    })
}

fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Up => Direction::Down,
        Direction::Down => Direction::Up,
    }
}

/// One organization, whole, as of one commit.
#[derive(Clone, Debug)]
pub struct OrganizationDetail {
    /// Itself.
    pub organization: Organization,
    /// The name of the broker that created it.
    pub creator_name: Option<String>,
    /// Its verification.
    pub verification: Verification,
    /// What the approval that stands overruled, if an operator gave it.
    pub overrules: Option<Overrule>,
    /// The approval of Sumsub's that does not count and waits for somebody.
    pub ignored: Option<IgnoredApproval>,
    /// The newest facts of its verification, newest first.
    pub facts: Vec<RecordedFact>,
    /// The approvals among them that overruled Sumsub, by the number of the fact.
    pub overruling: Vec<(i64, Overrule)>,
    /// What happened to the LOAs that it granted, newest first.
    pub authorization_activity: Vec<ActivityRow>,
    /// The LOAs that it granted or was granted, newest first.
    pub authorizations: Vec<AuthorizationRow>,
    /// Sumsub's deliveries about it, newest first.
    pub deliveries: Vec<DeliveryRow>,
    /// The links by which it can sign and verify, newest first.
    pub links: Vec<ListedLink>,
    /// What was or will be sent to brokers about it, newest first.
    pub outgoing: Vec<OutgoingRow>,
    /// The gate towards each broker that has, or could have, an LOA of it.
    pub explanations: Vec<(String, Explanation)>,
}

/// Reads one organization whole.
pub fn organization(
    appliance: &Appliance,
    id: &OrganizationId,
) -> Result<OrganizationDetail, Failure> {
    let now = (appliance.clock)();
    let mut detail = appliance.store.snapshot(|register| {
        let organization = register.organization(id)?.ok_or(Failure::OrganizationNotFound)?;
        let creator = match &organization.created_by {
            Some(creator) => register.organization(creator)?,
            None => None,
        };
        let verification = register.verification(id)?.ok_or(Failure::OrganizationNotFound)?;
        let mut facts = register.facts(id)?;
        let changes = changes(organization.created_at, &facts, now);
        let is_approved = verification.at(now).status == Status::Approved;
        let overrules = changes.last().filter(|_| is_approved).and_then(|it| it.overrule);
        let overruling = changes.iter().filter_map(|it| it.fact.zip(it.overrule)).collect();
        facts.reverse();
        facts.truncate(usize::try_from(DETAIL_ROWS_MAX).unwrap_or(usize::MAX));
        Ok::<_, Failure>(OrganizationDetail {
            creator_name: creator.map(|it| it.name.as_str().to_owned()),
            verification,
            overrules,
            ignored: register.ignored_approval(id)?,
            facts,
            overruling,
            authorization_activity: register.authorization_activity(id, DETAIL_ROWS_MAX)?,
            authorizations: register.authorization_rows_of(id, DETAIL_ROWS_MAX)?,
            deliveries: register.delivery_rows_of(id, DETAIL_ROWS_MAX)?,
            links: listed(*register, register.handoff_links_of(id, DETAIL_ROWS_MAX)?, now)?,
            outgoing: register.outgoing_rows_about(id, DETAIL_ROWS_MAX)?,
            explanations: Vec::new(),
            organization,
        })
    })?;
    for (broker, name) in brokers(&detail) {
        detail.explanations.push((name, explain(appliance, id, &broker, None)?));
    }
    Ok(detail)
}

/// One delivery, and what it says that an approval is judged by.
#[derive(Clone, Debug)]
pub struct DeliveryDetail {
    /// Itself.
    pub delivery: Delivery,
    /// The type of the organization that it is about.
    pub kind: Option<OrganizationType>,
    /// The level that it names.
    pub level: Named<String>,
    /// The applicant's type that it names.
    pub applicant_type: Named<OrganizationType>,
}

/// Reads one delivery. Of one whose body was pruned the level is known as long as its approval waits for
/// somebody.
pub fn delivery(appliance: &Appliance, id: i64) -> Result<Option<DeliveryDetail>, Failure> {
    appliance.store.snapshot(|register| {
        let Some(delivery) = register.delivery(id)? else { return Ok(None) };
        let (organization, ignored) = match &delivery.organization {
            Some(of) => (register.organization(of)?, register.ignored_approval(of)?),
            None => (None, None),
        };
        let webhook = delivery.body.as_deref().and_then(Webhook::read);
        let kept = || ignored.filter(|it| it.delivery_id == Some(id)).and_then(|it| it.level);
        let (level, applicant_type) = match webhook {
            Some(it) => (it.level, it.applicant_type),
            None => (kept().map_or(Named::Not, Named::As), Named::Not),
        };
        let kind = organization.map(|it| it.kind);
        Ok(Some(DeliveryDetail { delivery, kind, level, applicant_type }))
    })
}

/// Those that hold a live LOA of it; without any, the one that created it.
fn brokers(detail: &OrganizationDetail) -> Vec<(OrganizationId, String)> {
    let mut brokers: Vec<(OrganizationId, String)> = Vec::new();
    for it in &detail.authorizations {
        let loa = &it.authorization;
        let is_live = loa.status != AuthorizationStatus::Revoked;
        let is_new = !brokers.iter().any(|(id, _)| *id == loa.authorized);
        if loa.granting == detail.organization.id && is_live && is_new {
            brokers.push((loa.authorized.clone(), it.authorized_name.clone()));
        }
    }
    let creator = detail.organization.created_by.clone().zip(detail.creator_name.clone());
    if brokers.is_empty() {
        brokers.extend(creator);
    }
    brokers.truncate(EXPLANATIONS_MAX);
    brokers
}

/// What taking a customer's approval away would take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// LOAs that are effective now and would not be.
    pub suspended_loas: usize,
    /// Brokers that could act now and could not.
    pub brokers: usize,
}

/// What a hold on `id` would suspend now.
pub fn consequences_of_hold(
    appliance: &Appliance,
    id: &OrganizationId,
) -> Result<Consequences, Failure> {
    let now = (appliance.clock)();
    appliance.store.snapshot(|register| {
        let verification = register.verification(id)?.ok_or(Failure::OrganizationNotFound)?;
        if verification.at(now).status != Status::Approved {
            return Ok(Consequences::default());
        }
        let rows = register.authorization_rows_of(id, u32::MAX)?;
        let effective: Vec<_> = rows
            .iter()
            .map(|it| &it.authorization)
            .filter(|it| it.granting == *id && it.is_effective(verification.at(now)))
            .collect();
        let mut brokers: Vec<_> = effective.iter().map(|it| &it.authorized).collect();
        brokers.sort();
        brokers.dedup();
        Ok(Consequences { suspended_loas: effective.len(), brokers: brokers.len() })
    })
}

/// What revoking the LOA from `granting` to `authorized` would end now.
pub fn consequences_of_revocation(
    appliance: &Appliance,
    granting: &OrganizationId,
    authorized: &OrganizationId,
) -> Result<Consequences, Failure> {
    let now = (appliance.clock)();
    appliance.store.snapshot(|register| {
        let verification = register.verification(granting)?.ok_or(Failure::OrganizationNotFound)?;
        let live = register
            .live_authorization(granting, authorized)?
            .ok_or(Failure::AuthorizationNotFound)?;
        let count = usize::from(live.is_effective(verification.at(now)));
        Ok(Consequences { suspended_loas: count, brokers: count })
    })
}

/// What applying a delivery again would suspend now. Tried out and rolled back.
pub fn consequences_of_replay(appliance: &Appliance, id: i64) -> Result<Consequences, Failure> {
    let Some((_, _, Some((of, after)))) = rehearse_replay(appliance, id)? else {
        return Ok(Consequences::default());
    };
    if after.status == Status::Approved {
        return Ok(Consequences::default());
    }
    consequences_of_hold(appliance, &of)
}

/// What asking Sumsub about `id` and applying its answer would suspend now. Sumsub is asked; nothing is
/// written.
pub fn consequences_of_reread(
    appliance: &Appliance,
    id: &OrganizationId,
) -> Result<Consequences, Failure> {
    let report = asked_about(appliance, id, Mode::DryRun)?;
    let takes_away = report.findings.iter().any(|it| match it.kind {
        FindingKind::Drift { to, .. } => to != Status::Approved,
        FindingKind::Unknown | FindingKind::Ignored(_) | FindingKind::Overruled { .. } => false,
    });
    if takes_away { consequences_of_hold(appliance, id) } else { Ok(Consequences::default()) }
}

/// An answer that cannot be used is an error: it does not say that nothing differs.
fn asked_about(appliance: &Appliance, id: &OrganizationId, mode: Mode) -> Result<Report, Failure> {
    let _permit = appliance.permits.take(None)?;
    let mut report = reconcile(appliance, &Scope::One(id.clone()), mode, &mut || true)?;
    match report.stopped_by.take() {
        Some(error) => Err(error.into()),
        None if report.unusable > 0 => {
            Err(SumsubError::Unreadable("the answer about this applicant".to_owned()).into())
        }
        None => Ok(report),
    }
}

/// Asks Sumsub about `id`, applies what it says, and tells it.
pub fn reread(appliance: &Appliance, id: &OrganizationId) -> Result<Vec<String>, Failure> {
    let report = asked_about(appliance, id, Mode::Apply)?;
    let told = report.findings.iter().map(|it| match it.kind {
        FindingKind::Drift { event, from, to, .. } => {
            format!("{}: {} → {}", event.as_str(), from.as_str(), to.as_str())
        }
        FindingKind::Unknown => format!("Sumsub does not know applicant {}", it.applicant_id),
        FindingKind::Ignored(outcome) => format!(
            "Sumsub has approved at level {}, and that does not count: {}",
            it.level.as_deref().unwrap_or("(none)"),
            outcome.as_str()
        ),
        FindingKind::Overruled { verdict, .. } => {
            format!("an operator approved against Sumsub, which says {}", verdict.as_str())
        }
    });
    Ok(told.collect())
}

/// Asks Sumsub for something that does not exist, and tells how long the answer took.
pub fn probe_provider(appliance: &Appliance) -> Result<i64, Failure> {
    let _permit = appliance.permits.take(None)?;
    let begun = (appliance.clock)();
    appliance.sumsub.find_applicant(PROBED_ID)?;
    Ok((appliance.clock)().as_ms().saturating_sub(begun.as_ms()).max(0))
}
