//! Everything the simulator remembers, and the small operations on it that keep it whole: an
//! applicant is created in one place, and every change fires its event in one place.

use super::applicant::{Applicant, Presence, Refused, Review, ReviewResult, ReviewStatus, Step};
use super::delivery::{Message, Queue};
use super::event::{self, ALL_TYPES, Event, Frame, Trap, Trick};
use super::failure::Failure;
use super::fault::Fault;
use super::limit::Limits;
use super::random::Random;
use super::settings::{ApplicantType, Level, Settings, Workflow};
use super::tenant::{Tenant, TenantId, Webhook};
use super::token::{Pass, ShareToken};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The simulator's memory.
pub(super) struct World {
    pub(super) settings: Settings,
    /// Ids and tokens.
    pub(super) random: Random,
    /// Nastiness.
    chance: Random,
    recipient: Tenant,
    partner: Tenant,
    pub(super) levels: Vec<Level>,
    pub(super) workflows: Vec<Workflow>,
    pub(super) applicants: BTreeMap<String, Applicant>,
    pub(super) sdk_tokens: BTreeMap<String, Pass>,
    pub(super) links: BTreeMap<String, Pass>,
    pub(super) share_tokens: BTreeMap<String, ShareToken>,
    pub(super) queue: Queue,
    pub(super) traps: Vec<Trap>,
    pub(super) faults: Vec<Fault>,
    pub(super) limits: Limits,
    /// What happens by itself later: when, to whom, what.
    pub(super) agenda: Vec<(i64, String, Planned)>,
    pub(super) clock_offset_ms: i64,
    /// Answers that are about to be cut off in their middle.
    pub(super) cuts: u32,
    /// The instant of the current call.
    pub(super) now_ms: i64,
    /// The correlation id of the current call. Events of one call share it, as captures show.
    pub(super) correlation_id: String,
    /// Set once, when the simulator stops.
    pub(super) is_stopped: bool,
    objects: u32,
}

/// What happens by itself later.
#[derive(Clone, Debug)]
pub(super) enum Planned {
    /// A verdict falls.
    Verdict(ReviewResult),
    /// The document of an approved applicant expires.
    Expiry,
}

/// What is known of an applicant before it exists.
pub(super) struct Draft {
    pub(super) tenant: TenantId,
    pub(super) level: String,
    /// Made up when absent.
    pub(super) external_user_id: Option<String>,
    /// Taken from the level when absent.
    pub(super) applicant_type: Option<ApplicantType>,
    pub(super) top_level: Map<String, Value>,
    pub(super) fixed_info: Map<String, Value>,
    pub(super) extracted: Map<String, Value>,
}

impl Draft {
    /// A draft of which only tenant and level are known.
    pub(super) fn new(tenant: TenantId, level: &str) -> Self {
        Self {
            tenant,
            level: level.to_owned(),
            external_user_id: None,
            applicant_type: None,
            top_level: Map::new(),
            fixed_info: Map::new(),
            extracted: Map::new(),
        }
    }
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        // Secrets have a stream each, so that setting one does not change the others.
        let mut secrets = Random::seeded(settings.seed, 2);
        let recipient =
            Tenant::new(&settings.recipient, settings.webhook_secret.clone(), &mut secrets);
        let partner = Tenant::new(&settings.partner, None, &mut secrets);
        Self {
            random: Random::seeded(settings.seed, 0),
            chance: Random::seeded(settings.seed, 1),
            recipient,
            partner,
            levels: settings.levels.clone(),
            workflows: Vec::new(),
            applicants: BTreeMap::new(),
            sdk_tokens: BTreeMap::new(),
            links: BTreeMap::new(),
            share_tokens: BTreeMap::new(),
            queue: Queue::default(),
            traps: Vec::new(),
            faults: Vec::new(),
            limits: Limits::default(),
            agenda: Vec::new(),
            clock_offset_ms: 0,
            cuts: 0,
            now_ms: 0,
            correlation_id: String::new(),
            is_stopped: false,
            objects: 0,
            settings,
        }
    }

    /// Begins a call: sets its instant and its correlation id, and lets due verdicts fall.
    pub(super) fn begin(&mut self, clock_ms: i64) {
        self.tick(clock_ms);
        self.correlation_id = self.random.hex(32);
    }

    /// Lets time pass without a call. Draws nothing from the ids' stream, so that the sending
    /// thread's rhythm does not change a run.
    pub(super) fn tick(&mut self, clock_ms: i64) {
        self.now_ms = clock_ms.saturating_add(self.clock_offset_ms);
        self.settle_agenda();
    }

    /// Sets how far the clock is from the one that the simulator was given.
    ///
    /// Put forward, it is as if time had passed. Put back, everything that is dated or planned goes
    /// back with it: retries would wait for days otherwise, the request limits would never end, and
    /// the next event of an applicant would be dated after its last one instead of now.
    pub(super) fn set_clock(&mut self, offset_ms: i64) {
        let back_ms = self.clock_offset_ms.saturating_sub(offset_ms).max(0);
        self.now_ms = self.now_ms.saturating_sub(self.clock_offset_ms).saturating_add(offset_ms);
        self.clock_offset_ms = offset_ms;
        if back_ms > 0 {
            self.queue.put_back(back_ms);
            self.limits = Limits::default();
            for (at_ms, _, _) in &mut self.agenda {
                *at_ms = at_ms.saturating_sub(back_ms);
            }
            for applicant in self.applicants.values_mut() {
                applicant.last_event_ms = applicant.last_event_ms.saturating_sub(back_ms);
            }
        }
    }

    pub(super) fn tenant(&self, id: TenantId) -> &Tenant {
        match id {
            TenantId::Recipient => &self.recipient,
            TenantId::Partner => &self.partner,
        }
    }

    pub(super) fn tenant_mut(&mut self, id: TenantId) -> &mut Tenant {
        match id {
            TenantId::Recipient => &mut self.recipient,
            TenantId::Partner => &mut self.partner,
        }
    }

    /// The tenant of that client id.
    pub(super) fn tenant_of_client(&self, client_id: &str) -> Option<TenantId> {
        [TenantId::Recipient, TenantId::Partner]
            .into_iter()
            .find(|id| self.tenant(*id).credentials.client_id == client_id)
    }

    /// 24 lower-case hex characters that begin with the second of creation, like Mongo's.
    pub(super) fn object_id(&mut self) -> String {
        self.objects = self.objects.wrapping_add(1);
        let seconds = self.now_ms.max(0) / 1000;
        format!("{:08x}5117ab1e00{:06x}", seconds & 0xffff_ffff, self.objects & 0x00ff_ffff)
    }

    pub(super) fn level(&self, name: &str) -> Result<&Level, Failure> {
        self.levels.iter().find(|it| it.name == name).ok_or_else(|| Failure::level_not_found(name))
    }

    /// The first level for that kind of applicant.
    pub(super) fn level_for(&self, kind: ApplicantType) -> Option<&Level> {
        self.levels.iter().find(|it| it.applicant_type == kind)
    }

    /// An applicant of the calling tenant; another tenant's is as good as absent.
    pub(super) fn applicant(&self, tenant: TenantId, id: &str) -> Result<&Applicant, Failure> {
        self.applicants
            .get(id)
            .filter(|it| it.tenant == tenant && it.presence != Presence::Deleted)
            .ok_or_else(|| Failure::applicant_not_found(id))
    }

    pub(super) fn applicant_mut(
        &mut self,
        tenant: TenantId,
        id: &str,
    ) -> Result<&mut Applicant, Failure> {
        self.applicants
            .get_mut(id)
            .filter(|it| it.tenant == tenant && it.presence != Presence::Deleted)
            .ok_or_else(|| Failure::applicant_not_found(id))
    }

    pub(super) fn find_external(&self, tenant: TenantId, user_id: &str) -> Option<&Applicant> {
        self.holder_of(tenant, user_id).filter(|it| it.presence != Presence::Deleted)
    }

    /// Whoever holds an external id, seen or not.
    pub(super) fn holder_of(&self, tenant: TenantId, user_id: &str) -> Option<&Applicant> {
        self.applicants.values().find(|it| it.tenant == tenant && it.external_user_id == user_id)
    }

    /// Creates an applicant, without its event: an import fires another one.
    pub(super) fn insert(&mut self, draft: Draft) -> Result<String, Failure> {
        let kind = self.level(&draft.level)?.applicant_type;
        if draft.applicant_type.is_some_and(|it| it != kind) {
            // Stated that it fails; status and text are unknown.
            return Err(Failure::plain(
                400,
                format!("Applicant type does not match the type of level '{}'", draft.level),
            ));
        }
        let external_user_id = match draft.external_user_id {
            Some(id) => id,
            None => self.random.uuid(),
        };
        if let Some(existing) = self.holder_of(draft.tenant, &external_user_id) {
            return Err(Failure::plain(
                409,
                format!(
                    "Applicant with external user id '{external_user_id}' already exists: {}",
                    existing.id
                ),
            ));
        }
        let (id, inspection_id) = (self.object_id(), self.object_id());
        let applicant = Applicant {
            id: id.clone(),
            inspection_id,
            key: self.random.alphanumeric(14).to_ascii_uppercase(),
            tenant: draft.tenant,
            external_user_id,
            kind,
            level: draft.level,
            created_at_ms: self.now_ms,
            top_level: draft.top_level,
            fixed_info: draft.fixed_info,
            extracted: draft.extracted,
            tags: Vec::new(),
            documents: Vec::new(),
            member_of: None,
            copy_of: None,
            reuse_scope: None,
            presence: Presence::Active,
            blocklisted_note: None,
            review: Review {
                id: self.random.alphanumeric(5),
                attempt_id: self.random.alphanumeric(5),
                attempt_count: 0,
                status: ReviewStatus::Init,
                result: None,
                created_at_ms: self.now_ms,
                pending_since_ms: None,
                reviewed_at_ms: None,
            },
            waits_for_people: false,
            last_event_ms: 0,
        };
        self.applicants.insert(id.clone(), applicant);
        Ok(id)
    }

    /// Creates an applicant and says so.
    pub(super) fn create(&mut self, draft: Draft) -> Result<String, Failure> {
        let id = self.insert(draft)?;
        self.emit(&id, &Event::Created);
        Ok(id)
    }

    /// Moves a review through the table.
    pub(super) fn step(&mut self, id: &str, step: Step) -> Result<(), Refused> {
        let now_ms = self.now_ms;
        match self.applicants.get_mut(id) {
            Some(applicant) => {
                applicant.waits_for_people = false;
                applicant.review.apply(step, now_ms)
            }
            None => Ok(()),
        }
    }

    /// Fires an event about an applicant's present state to its tenant's webhooks.
    pub(super) fn emit(&mut self, id: &str, event: &Event) {
        let tricks = self.take_tricks(event.type_name());
        let now_ms = self.now_ms;
        let Some(applicant) = self.applicants.get_mut(id) else { return };
        let created_at_ms = if tricks.contains(&Trick::EqualCreatedAtMs) {
            applicant.last_event_ms.max(1)
        } else {
            now_ms.max(applicant.last_event_ms + 1)
        };
        applicant.last_event_ms = created_at_ms;
        let tenant = applicant.tenant;
        let kind = match event {
            // A webhook's filters would hide what was ordered by hand.
            Event::Played(_) => None,
            _ => Some(applicant.kind.as_str()),
        };
        let Some(applicant) = self.applicants.get(id) else { return };
        let frame = Frame {
            client_id: &self.tenant(tenant).credentials.client_id,
            environment: self.tenant(tenant).environment(),
            correlation_id: &self.correlation_id,
            created_at_ms,
            tricks: &tricks,
        };
        let body = event::body(applicant, event, &frame);
        let message = Message {
            event_type: event.type_name(),
            applicant_id: id,
            body: body.as_bytes(),
            tricks: &tricks,
        };
        self.enqueue(tenant, kind, &message);
    }

    /// Queues a body for every webhook of the tenant that takes it. An event without a kind of
    /// applicant was ordered by hand and goes to all.
    pub(super) fn enqueue(&mut self, tenant: TenantId, kind: Option<&str>, message: &Message<'_>) {
        if message.tricks.contains(&Trick::Lost) {
            return;
        }
        let takes = |it: &Webhook| kind.is_none_or(|kind| it.takes(message.event_type, kind));
        let webhooks: Vec<Webhook> =
            self.tenant(tenant).webhooks.iter().filter(|it| takes(it)).cloned().collect();
        let now_ms = self.now_ms;
        for webhook in webhooks {
            let chance = if self.settings.nasty { Some(&mut self.chance) } else { None };
            self.queue.push(&webhook, message, chance, now_ms);
        }
    }

    fn take_tricks(&mut self, event_type: &str) -> Vec<Trick> {
        let mut tricks = Vec::new();
        for trap in &mut self.traps {
            if trap.event_type.as_deref().is_none_or(|it| it == event_type) {
                trap.events_left = trap.events_left.saturating_sub(1);
                tricks.extend(trap.tricks.iter().copied());
            }
        }
        self.traps.retain(|it| it.events_left > 0);
        tricks
    }

    /// Points the recipient's webhook from the settings at `url`, or makes it.
    pub(super) fn set_webhook(&mut self, url: &str) {
        let webhook = Webhook {
            id: self.object_id(),
            name: "from the settings".to_owned(),
            description: String::new(),
            target: url.to_owned(),
            types: ALL_TYPES.iter().map(|it| (*it).to_owned()).collect(),
            applicant_type: None,
            secret: self.recipient.credentials.webhook_secret.clone(),
            algorithm: self.settings.digest,
            headers: Vec::new(),
            resends: true,
            created_at: super::moment::plain(self.now_ms),
        };
        self.settings.webhook_url = Some(url.to_owned());
        self.recipient.webhooks.retain(|it| it.name != webhook.name);
        self.recipient.webhooks.push(webhook);
    }
}
