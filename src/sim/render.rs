//! Applicants as the API shows them ("Get applicant data", "Get applicant review status"), from
//! captured answers. The review is nested here and flat in webhooks.

use super::applicant::{Applicant, Presence, ReviewResult, ReviewStatus};
use super::moment;
use super::settings::ApplicantType;
use super::token::{Alphabet, base64};
use super::world::World;
use crate::sumsub::signature::{DigestAlgorithm, webhook_digest};
use serde_json::{Map, Value, json};

/// The whole applicant.
pub(super) fn applicant(world: &World, it: &Applicant) -> Value {
    let client_id = &world.tenant(it.tenant).credentials.client_id;
    let mut members = it.top_level.clone();
    let mut put = |name: &str, value: Value| {
        members.insert(name.to_owned(), value);
    };
    put("id", json!(it.id));
    put("createdAt", json!(moment::plain(it.created_at_ms)));
    put("key", json!(it.key));
    put("clientId", json!(client_id));
    put("inspectionId", json!(it.inspection_id));
    put("externalUserId", json!(it.external_user_id));
    put("applicantPlatform", json!("Web"));
    put("type", json!(it.kind.as_str()));
    put("authCode", json!(auth_code(world, it)));
    put("requiredIdDocs", required_documents(world, it));
    put("review", review(it, world.now_ms));
    let extracted = extracted(world, it);
    if !extracted.is_empty() {
        put("info", Value::Object(extracted));
    }
    if !it.fixed_info.is_empty() {
        put("fixedInfo", Value::Object(it.fixed_info.clone()));
    }
    // An empty tag set is absent (stated).
    if !it.tags.is_empty() {
        put("tags", json!(it.tags));
    }
    if it.presence == Presence::Deactivated {
        put("deleted", json!(true));
    }
    if let Some(origin) = &it.copy_of {
        put("copyOf", json!(origin));
    }
    if let Some(scope) = it.reuse_scope {
        put("reuseScope", json!(scope));
    }
    if let Some(note) = &it.blocklisted_note {
        put("blacklisted", json!({ "note": note }));
    }
    Value::Object(members)
}

/// The review block alone. While nothing is decided, `reviewResult` is null (seen in captures).
pub(super) fn review(it: &Applicant, now_ms: i64) -> Value {
    let review = &it.review;
    let mut block = json!({
        "reviewId": review.id,
        "attemptId": review.attempt_id,
        "attemptCnt": review.attempt_count,
        "levelName": it.level,
        "levelAutoCheckMode": null,
        "createDate": moment::zoned(review.created_at_ms),
        "reviewStatus": review.status.as_str(),
        "priority": 0,
    });
    let Some(members) = block.as_object_mut() else { return block };
    match &review.result {
        Some(result) => {
            members.insert("reviewResult".to_owned(), result.to_json());
        }
        None if review.status != ReviewStatus::Init => {
            members.insert("reviewResult".to_owned(), Value::Null);
        }
        None => {}
    }
    if let Some(since_ms) = review.pending_since_ms {
        let elapsed_ms = (now_ms - since_ms).max(0);
        members.insert("elapsedSincePendingMs".to_owned(), json!(elapsed_ms));
        members.insert("elapsedSinceQueuedMs".to_owned(), json!(elapsed_ms));
    }
    if let Some(at_ms) = review.reviewed_at_ms {
        members.insert("reviewDate".to_owned(), json!(moment::zoned(at_ms)));
    }
    block
}

/// The steps: `null` until handed in, then the images and the verdict on them.
pub(super) fn steps(it: &Applicant) -> Value {
    let sets: &[&str] = match it.kind {
        ApplicantType::Individual => &["IDENTITY", "SELFIE"],
        ApplicantType::Company => &["COMPANY"],
    };
    let step = |set: &str| {
        let documents: Vec<_> = it.documents.iter().filter(|doc| doc.set == set).collect();
        let Some(first) = documents.first() else { return Value::Null };
        let result = it.review.result.as_ref().map_or(Value::Null, ReviewResult::to_json);
        let ids: Vec<i64> = documents.iter().map(|doc| doc.image_id).collect();
        let images: Map<String, Value> =
            ids.iter().map(|id| (id.to_string(), result.clone())).collect();
        json!({
            "reviewResult": result,
            "country": first.country,
            "idDocType": first.kind,
            "imageIds": ids,
            "imageReviewResults": images,
        })
    };
    Value::Object(sets.iter().map(|set| ((*set).to_owned(), step(set))).collect())
}

fn required_documents(world: &World, it: &Applicant) -> Value {
    match it.kind {
        ApplicantType::Individual => json!({ "docSets": [
            { "idDocSetType": "IDENTITY", "types": ["PASSPORT"], "subTypes": ["FRONT_SIDE"] },
            { "idDocSetType": "SELFIE", "types": ["SELFIE"], "videoRequired": "passiveLiveness" },
        ]}),
        ApplicantType::Company => {
            let child = world.level_for(ApplicantType::Individual).map(|it| it.name.as_str());
            let step = |name: &str| json!({ "name": name, "applicantLevelName": child });
            json!({ "docSets": [{
                "idDocSetType": "COMPANY",
                "types": ["COMPANY_DOC"],
                "steps": [
                    { "name": "company" },
                    step("ubos"),
                    step("representatives"),
                    step("shareholders"),
                ],
            }]})
        }
    }
}

fn extracted(world: &World, it: &Applicant) -> Map<String, Value> {
    let mut extracted = it.extracted.clone();
    let people = world.people(&it.id);
    if !people.is_empty() {
        let beneficiaries: Vec<Value> = people
            .iter()
            .map(|id| json!({ "applicantId": id, "positions": ["ubo"], "type": "ubo" }))
            .collect();
        let company = extracted.entry("companyInfo").or_insert_with(|| json!({}));
        if let Some(members) = company.as_object_mut() {
            members.insert("beneficiaries".to_owned(), json!(beneficiaries));
        }
    }
    extracted
}

/// An HS256 JWT with the applicant's name in it, as decoded from a real answer. What signs the
/// real one is unknown.
fn auth_code(world: &World, it: &Applicant) -> String {
    let issued_at_s = world.now_ms.div_euclid(1000);
    let credentials = &world.tenant(it.tenant).credentials;
    let claims = json!({
        "iat": issued_at_s,
        "exp": issued_at_s + 600,
        "iss": "Sumsub",
        "sub": it.external_user_id,
        "aud": credentials.client_id,
        "applicantId": it.id,
        "applicantName": it.name(),
    });
    jwt(credentials.secret_key.as_bytes(), &claims)
}

/// Signs claims as an HS256 JWT.
pub(super) fn jwt(key: &[u8], claims: &Value) -> String {
    let header = base64(br#"{"alg":"HS256"}"#, Alphabet::Url);
    let payload = base64(claims.to_string().as_bytes(), Alphabet::Url);
    let signed = format!("{header}.{payload}");
    // HS256 is HMAC-SHA256, the webhook digest's own algorithm.
    let hex = webhook_digest(key, DigestAlgorithm::Sha256, signed.as_bytes());
    let digits: Vec<u8> =
        hex.chars().filter_map(|it| u8::try_from(it.to_digit(16)?).ok()).collect();
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| (byte << 4) | digit))
        .collect();
    format!("{signed}.{}", base64(&bytes, Alphabet::Url))
}
