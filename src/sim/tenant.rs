//! A client of Sumsub: its credentials, its environment, its partners and its webhooks.

use super::random::Random;
use super::settings::TenantSettings;
use crate::sumsub::signature::DigestAlgorithm;
use serde_json::{Value, json};
use std::fmt;

/// Which of the two tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TenantId {
    /// The appliance's tenant.
    Recipient,
    /// The partner's tenant.
    Partner,
}

impl TenantId {
    /// Its name in control calls.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Partner => "partner",
        }
    }
}

/// What a client needs to speak to the simulator as one tenant.
#[derive(Clone)]
pub struct Credentials {
    /// The client id.
    pub client_id: String,
    /// The app token, `sbx:<public>.<private>` or `prd:<public>.<private>`.
    pub app_token: String,
    /// The secret key that signs requests.
    pub secret_key: String,
    /// The secret that signs this tenant's webhooks.
    pub webhook_secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

/// Which data a token opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Environment {
    Sandbox,
    Production,
}

/// A client of Sumsub.
pub(super) struct Tenant {
    pub(super) credentials: Credentials,
    pub(super) partners: Vec<String>,
    pub(super) webhooks: Vec<Webhook>,
}

impl Tenant {
    /// Takes what is set and derives the rest.
    pub(super) fn new(
        settings: &TenantSettings,
        webhook_secret: Option<String>,
        random: &mut Random,
    ) -> Self {
        let app_token = format!("sbx:{}.{}", random.alphanumeric(24), random.alphanumeric(32));
        let (secret_key, derived_webhook_secret) =
            (random.alphanumeric(32), random.alphanumeric(32));
        Self {
            credentials: Credentials {
                client_id: settings.client_id.clone(),
                app_token: settings.app_token.clone().unwrap_or(app_token),
                secret_key: settings.secret_key.clone().unwrap_or(secret_key),
                webhook_secret: webhook_secret.unwrap_or(derived_webhook_secret),
            },
            partners: settings.partners.clone(),
            webhooks: Vec::new(),
        }
    }

    /// The public part of the app token, prefix included, and the private part.
    pub(super) fn token_parts(&self) -> (&str, &str) {
        self.credentials.app_token.rsplit_once('.').unwrap_or((&self.credentials.app_token, ""))
    }

    /// The token alone decides between sandbox and production (stated).
    pub(super) fn environment(&self) -> Environment {
        if self.credentials.app_token.starts_with("prd:") {
            Environment::Production
        } else {
            Environment::Sandbox
        }
    }
}

/// Where a tenant's events are sent.
#[derive(Clone)]
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) target: String,
    /// Free strings: a typo is accepted and never fires (stated).
    pub(super) types: Vec<String>,
    /// `individual`, `company`, or both when absent.
    pub(super) applicant_type: Option<String>,
    pub(super) secret: String,
    pub(super) algorithm: DigestAlgorithm,
    pub(super) headers: Vec<(String, String)>,
    pub(super) resends: bool,
    pub(super) created_at: String,
}

impl Webhook {
    /// The object of "Webhook manager", the secret in clear as the real one gives it.
    pub(super) fn to_json(&self, client_id: &str) -> Value {
        let headers: Vec<Value> =
            self.headers.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let mut object = json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "target": self.target,
            "targetType": "http",
            "types": self.types,
            "sourceKeys": [],
            "secretKey": self.secret,
            "signatureAlgorithm": self.algorithm.as_str(),
            "headers": headers,
            "notResendFailedWebhooks": !self.resends,
            "clientId": client_id,
            "createdAt": self.created_at,
        });
        if let (Some(members), Some(kind)) = (object.as_object_mut(), &self.applicant_type) {
            members.insert("applicantType".to_owned(), json!(kind));
        }
        object
    }

    /// Whether an event of this type about this kind of applicant goes here.
    pub(super) fn takes(&self, event_type: &str, applicant_type: &str) -> bool {
        self.types.iter().any(|it| it == event_type)
            && self.applicant_type.as_deref().is_none_or(|it| it == applicant_type)
    }
}
