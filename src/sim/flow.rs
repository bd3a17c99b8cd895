//! The moves of a verification that touch more than one thing: several events, or a company and
//! its people. The page, the control port and the API all end here.

use super::applicant::{Document, Presence, Refused, ReviewResult, ReviewStatus, Step};
use super::event::Event;
use super::failure::Failure;
use super::settings::{ApplicantType, SdkLevel};
use super::tenant::TenantId;
use super::token::Pass;
use super::world::{Draft, Planned, World};
use super::{ApplicantCreation, moment};
use serde_json::{Value, json};

impl World {
    /// Finds the applicant of a token or link, creating it if this is the moment for it.
    pub(super) fn applicant_of(
        &mut self,
        pass: &Pass,
        moment: ApplicantCreation,
    ) -> Result<Option<String>, Failure> {
        if let Some(existing) = self.find_external(pass.tenant, &pass.user_id) {
            return Ok(Some(existing.id.clone()));
        }
        if self.settings.applicant_creation != moment {
            return Ok(None);
        }
        let mut draft = Draft::new(pass.tenant, &pass.level);
        draft.external_user_id = Some(pass.user_id.clone());
        for (name, value) in [("email", &pass.email), ("phone", &pass.phone)] {
            if let Some(text) = value {
                draft.top_level.insert(name.to_owned(), json!(text));
            }
        }
        self.create(draft).map(Some)
    }

    /// The customer hands everything in.
    pub(super) fn submit(&mut self, id: &str) -> Result<(), Failure> {
        let Some(applicant) = self.applicants.get(id) else {
            return Err(Failure::applicant_not_found(id));
        };
        if applicant.presence == Presence::Deactivated {
            return Err(Failure::coded(
                409,
                1008,
                "applicant-marked-as-deleted",
                "Applicant is deactivated",
            ));
        }
        let kind = applicant.kind;
        self.step(id, Step::Submit).map_err(refused)?;
        self.hand_in_documents(id);
        self.emit(id, &Event::Pending);
        match kind {
            ApplicantType::Individual => self.precheck(id),
            ApplicantType::Company => self.wait_for_people(id),
        }
        Ok(())
    }

    fn precheck(&mut self, id: &str) {
        if self.step(id, Step::Precheck).is_ok() {
            self.emit(id, &Event::Prechecked);
        }
    }

    /// A company's people appear as applicants of their own; it is on hold, with a GREEN answer
    /// of its own data, until they pass.
    fn wait_for_people(&mut self, company: &str) {
        if self.people(company).is_empty() {
            self.make_beneficiary(company);
        }
        if self.people(company).iter().all(|person| self.is_approved(person)) {
            self.precheck(company);
            return;
        }
        if self.step(company, Step::Hold(ReviewResult::green())).is_ok() {
            if let Some(applicant) = self.applicants.get_mut(company) {
                applicant.waits_for_people = true;
            }
            self.emit(company, &Event::OnHold);
        }
    }

    fn make_beneficiary(&mut self, company: &str) {
        let Some(tenant) = self.applicants.get(company).map(|it| it.tenant) else { return };
        let Some(level) = self.level_for(ApplicantType::Individual) else { return };
        let mut draft = Draft::new(tenant, &level.name.clone());
        draft.external_user_id = Some(format!("beneficiary-random-{}", self.random.uuid()));
        draft.fixed_info.insert("firstName".to_owned(), json!("Bea"));
        draft.fixed_info.insert("lastName".to_owned(), json!("Owner"));
        let Ok(person) = self.insert(draft) else { return };
        if let Some(applicant) = self.applicants.get_mut(&person) {
            applicant.member_of = Some(company.to_owned());
        }
        self.emit(&person, &Event::Created);
        if self.step(&person, Step::Submit).is_ok() {
            self.hand_in_documents(&person);
            self.emit(&person, &Event::Pending);
        }
    }

    /// The ids of a company's people.
    pub(super) fn people(&self, company: &str) -> Vec<String> {
        self.applicants
            .values()
            .filter(|it| it.member_of.as_deref() == Some(company))
            .map(|it| it.id.clone())
            .collect()
    }

    fn is_approved(&self, id: &str) -> bool {
        self.applicants.get(id).is_some_and(|it| it.review.is_approved())
    }

    /// A verdict falls; a waiting company whose last person passed gets its own.
    pub(super) fn complete(&mut self, id: &str, result: ReviewResult) {
        let is_green = result.is_green();
        if self.step(id, Step::Complete(result)).is_err() {
            return;
        }
        self.emit(id, &Event::Reviewed);
        self.follow_workflow(id);
        let company = self.applicants.get(id).and_then(|it| it.member_of.clone());
        let Some(company) = company.filter(|_| is_green) else { return };
        let waits = self.applicants.get(&company).is_some_and(|it| it.waits_for_people);
        if waits && self.people(&company).iter().all(|person| self.is_approved(person)) {
            self.complete(&company, ReviewResult::green());
        }
    }

    /// Approval as a tester means it: a company's people pass first. In a workflow it is one step.
    pub(super) fn approve_with_people(&mut self, id: &str) {
        let level = |world: &Self| world.applicants.get(id).map(|it| it.level.clone());
        let level_before = level(self);
        for person in self.people(id) {
            if !self.is_approved(&person) {
                self.complete(&person, ReviewResult::green());
            }
        }
        // The last of its people may have completed a waiting company's step already.
        if !self.is_approved(id) && level(self) == level_before {
            self.complete(id, ReviewResult::green());
        }
    }

    /// Moves an applicant to another level, back to init. The type must fit, and no check may be
    /// running ("Change level and reset steps", stated); with which status and text the real
    /// service refuses is unknown. Documents stay, as a level may need them again.
    pub(super) fn move_to_level(&mut self, id: &str, name: &str) -> Result<(), Failure> {
        let kind = self.level(name)?.applicant_type;
        let applicant =
            self.applicants.get_mut(id).ok_or_else(|| Failure::applicant_not_found(id))?;
        if applicant.kind != kind {
            return Err(Failure::plain(
                400,
                format!("Level '{name}' is of another applicant type"),
            ));
        }
        let status = applicant.review.status;
        if matches!(status, ReviewStatus::Pending | ReviewStatus::Queued | ReviewStatus::OnHold) {
            return Err(Failure::plain(
                409,
                format!("The level cannot be changed while the applicant is {}", status.as_str()),
            ));
        }
        let previous = std::mem::replace(&mut applicant.level, name.to_owned());
        self.restart(id, &Event::LevelChanged { previous });
        Ok(())
    }

    /// The SDK opens for the first time with a token or link, and takes the applicant to its level.
    ///
    /// That it does is stated ("Change level and reset steps"). Inferred: it leaves alone an
    /// applicant that is rejected for good, and one in a workflow that the token's level belongs
    /// to, because clients name the same level at every visit.
    pub(super) fn lead_to_level(&mut self, id: &str, pass: &Pass) {
        let Some(applicant) = self.applicants.get(id) else { return };
        let is_led = self.settings.sdk_level == SdkLevel::Moves
            && !pass.is_opened
            && applicant.level != pass.level
            && !applicant.review.is_finally_rejected()
            && self.workflow_of(id).is_none_or(|(it, _)| !it.levels.contains(&pass.level));
        if is_led {
            // Where the level cannot be changed, the SDK shows the applicant as it is.
            drop(self.move_to_level(id, &pass.level));
        }
    }

    /// A person must decide.
    pub(super) fn hold(&mut self, id: &str, result: ReviewResult) {
        if self.step(id, Step::Hold(result)).is_ok() {
            self.emit(id, &Event::OnHold);
        }
    }

    /// A (re)check starts.
    pub(super) fn recheck(&mut self, id: &str) {
        if self.step(id, Step::Recheck).is_ok() {
            self.emit(id, &Event::Pending);
        }
    }

    /// Back to the start with an event of the caller's choice.
    pub(super) fn restart(&mut self, id: &str, event: &Event) {
        if *event == Event::Reset
            && let Some(applicant) = self.applicants.get_mut(id)
        {
            applicant.documents.clear();
        }
        if self.step(id, Step::Restart).is_ok() {
            self.emit(id, event);
        }
    }

    /// The daily expiry job finds an expired document ("Ongoing document monitoring"): pending,
    /// then RED with a retry. There is no event or status of its own. The label is inferred.
    pub(super) fn expire_document(&mut self, id: &str) {
        self.recheck(id);
        self.complete(
            id,
            ReviewResult::red("RETRY", &["EXPIRATION_DATE"], "The document has expired."),
        );
    }

    /// The client's dashboard deletes a profile.
    pub(super) fn delete(&mut self, id: &str) {
        if let Some(applicant) = self.applicants.get_mut(id) {
            applicant.presence = Presence::Deleted;
        }
        self.emit(id, &Event::Deleted);
    }

    fn hand_in_documents(&mut self, id: &str) {
        let image_id = i64::try_from(self.random.next() >> 34).unwrap_or(1);
        let Some(applicant) = self.applicants.get_mut(id) else { return };
        let sets: &[(&str, &str)] = match applicant.kind {
            ApplicantType::Individual => &[("IDENTITY", "PASSPORT"), ("SELFIE", "SELFIE")],
            ApplicantType::Company => &[("COMPANY", "COMPANY_DOC")],
        };
        let country = applicant.fixed_info.get("country").and_then(Value::as_str);
        let country = country.unwrap_or("FRA").to_owned();
        for ((set, kind), offset) in sets.iter().zip(0_i64..) {
            if !applicant.documents.iter().any(|it| it.set == *set) {
                applicant.documents.push(Document {
                    set: (*set).to_owned(),
                    kind: (*kind).to_owned(),
                    country: country.clone(),
                    image_id: image_id + offset,
                });
            }
        }
        for (name, value) in applicant.fixed_info.clone() {
            applicant.extracted.insert(name, value);
        }
        if applicant.kind == ApplicantType::Individual {
            // Ten years: the usual life of a passport.
            let valid_until = moment::date(self.now_ms + 315_576_000_000);
            applicant.extracted.insert(
                "idDocs".to_owned(),
                json!([{ "idDocType": "PASSPORT", "country": country, "validUntil": valid_until }]),
            );
        }
    }

    /// Lets everything happen that is due.
    pub(super) fn settle_agenda(&mut self) {
        let now_ms = self.now_ms;
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.agenda).into_iter().partition(|(at, _, _)| *at <= now_ms);
        self.agenda = later;
        for (_, id, planned) in due {
            match planned {
                Planned::Verdict(result) => self.complete(&id, result),
                Planned::Expiry if self.is_approved(&id) => self.expire_document(&id),
                Planned::Expiry => {}
            }
        }
    }

    /// An approved individual of a tenant, as a donor.
    pub(super) fn make_approved_individual(
        &mut self,
        tenant: TenantId,
        (first_name, last_name): (&str, &str),
        external_user_id: Option<String>,
    ) -> Result<String, Failure> {
        let level = self
            .level_for(ApplicantType::Individual)
            .map(|it| it.name.clone())
            .ok_or_else(|| Failure::level_not_found("any individual level"))?;
        let mut draft = Draft::new(tenant, &level);
        draft.external_user_id = external_user_id;
        draft.fixed_info.insert("firstName".to_owned(), json!(first_name));
        draft.fixed_info.insert("lastName".to_owned(), json!(last_name));
        draft.fixed_info.insert("country".to_owned(), json!("FRA"));
        let id = self.create(draft)?;
        self.submit(&id)?;
        self.complete(&id, ReviewResult::green());
        Ok(id)
    }
}

/// The refusal of a submission. The code of a final rejection is stated ("Error codes"); the
/// other text is unknown.
pub(super) fn refused(refused: Refused) -> Failure {
    match refused {
        Refused::FinalReject => {
            Failure::coded(409, 1009, "applicant-with-final-reject", "Applicant is rejected")
        }
        Refused::NotAsked(status) => Failure::plain(
            409,
            format!("Nothing can be handed in while the applicant is {}", status.as_str()),
        ),
    }
}
