//! How a play makes its calls: every request and answer printed, every expectation checked, and the
//! first one that is not met ends it under the step's name.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Call, Stage, text};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output::out;
use crate::cli::wiring::pause;

pub(super) const VERIFICATION: &str = "/v1/organizations/verification";
pub(super) const IMPORT: &str = "/v1/organizations/verification/import";

/// How often and for how long a webhook is waited for.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 400;
/// How much of a token is shown.
const TOKEN_CHARACTERS: usize = 20;

/// What an answer must be: the status, and texts at JSON pointers.
pub(super) type Expected<'a> = (u16, &'a [(&'a str, &'a str)]);

/// A request of the broker's.
pub(super) struct Ask<'a> {
    pub(super) method: &'static str,
    pub(super) path: &'a str,
    pub(super) on_behalf_of: Option<&'a str>,
    pub(super) body: Option<Value>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a str, of: &'a str) -> Self {
        Self { method: "GET", path, on_behalf_of: Some(of), body: None }
    }

    pub(super) fn post(path: &'a str, on_behalf_of: Option<&'a str>, body: Option<Value>) -> Self {
        Self { method: "POST", path, on_behalf_of, body }
    }
}

/// A play in progress.
pub(super) struct Play<'a> {
    pub(super) stage: &'a Stage,
    number: u32,
    title: &'static str,
}

impl<'a> Play<'a> {
    pub(super) fn new(stage: &'a Stage) -> Self {
        Self { stage, number: 0, title: "" }
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &'static str) -> Result<(), CliError> {
        self.number = self.number.saturating_add(1);
        self.title = title;
        say(&format!("\n{:>2}. {title}", self.number))
    }

    /// Asks as the broker, prints both sides, and checks the answer.
    pub(super) fn ask(&self, ask: &Ask<'_>, expected: Expected<'_>) -> Result<Value, CliError> {
        let mut line = format!("    {} {}", ask.method, ask.path);
        for (name, value) in [
            ("on behalf of", ask.on_behalf_of.map(ToOwned::to_owned)),
            ("with", ask.body.as_ref().map(|it| shortened(it).to_string())),
        ] {
            if let Some(value) = value {
                // Writing to a String does not fail.
                write!(line, "\n      {name} {value}").unwrap_or_default();
            }
        }
        say(&line)?;
        let (status, body) = self.send(ask)?;
        say(&format!("    {status} {}", shortened(&body)))?;
        self.check((status, &body), expected)?;
        Ok(body)
    }

    /// Polls as the broker until the status is there.
    pub(super) fn await_status(&self, of: &str, status: &str) -> Result<(), CliError> {
        let ask = Ask::get(VERIFICATION, of);
        let mut seen = Value::Null;
        for _ in 0..LOOKS_MAX {
            let (code, body) = self.send(&ask)?;
            self.check((code, &body), (200, &[]))?;
            if text(&body, "/status") == status {
                say(&format!("    GET {VERIFICATION}, polled\n    200 {body}"))?;
                return Ok(());
            }
            seen = body;
            pause(LOOK);
        }
        Err(self.failed(&format!("waited for {status}, and the last answer was {seen}")))
    }

    /// Plays the customer or Sumsub's reviewer on the simulator's control port.
    pub(super) fn act(&self, customer: &str, actions: &[&str]) -> Result<(), CliError> {
        let url = format!("{}/applicants?externalUserId={customer}", self.stage.control);
        let call = Call { method: "GET", url, headers: Vec::new(), body: None };
        let (_, found) = self.stage.call(&call)?;
        let id = text(&found, "/applicants/0/id").to_owned();
        for action in actions {
            say(&format!("    simulator: POST /applicants/{id}/{action}"))?;
            self.stage.control_call(&format!("/applicants/{id}/{action}"), &json!({}))?;
        }
        Ok(())
    }

    /// Names the step that failed.
    pub(super) fn failed(&self, why: &str) -> CliError {
        CliError::new(
            Exit::Refused,
            format!("the play failed at step {}, \"{}\": {why}", self.number, self.title),
        )
    }

    fn send(&self, ask: &Ask<'_>) -> Result<(u16, Value), CliError> {
        let authorization = format!("Bearer {}", self.stage.key);
        let mut headers = vec![("Authorization", authorization.as_str())];
        headers.extend(ask.on_behalf_of.map(|it| ("Nxos-On-Behalf-Of", it)));
        let url = format!("{}{}", self.stage.api, ask.path);
        let call = Call { method: ask.method, url, headers, body: ask.body.as_ref() };
        self.stage.call(&call).map_err(|it| self.failed(&it.sentence))
    }

    fn check(&self, (status, body): (u16, &Value), expected: Expected<'_>) -> Result<(), CliError> {
        let (expected_status, fields) = expected;
        if status != expected_status {
            return Err(self.failed(&format!("expected {expected_status}, got {status} {body}")));
        }
        for (pointer, value) in fields {
            if text(body, pointer) != *value {
                return Err(self.failed(&format!("expected {value} at {pointer}, got {body}")));
            }
        }
        Ok(())
    }
}

/// Says what a step has shown.
pub(super) fn proves(what: &str) -> Result<(), CliError> {
    say(&format!("    Proves: {what}"))
}

/// Says what is done without a request.
pub(super) fn aside(what: &str) -> Result<(), CliError> {
    say(&format!("    {what}"))
}

fn say(line: &str) -> Result<(), CliError> {
    Ok(out(&format!("{line}\n"))?)
}

/// Tokens and links cut after their first characters: a transcript may be shown around.
fn shortened(value: &Value) -> Value {
    let is_token = |name: &str| ["url", "accessToken", "shareToken"].contains(&name);
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, it)| match it {
                Value::String(text) if is_token(name) => (name.clone(), Value::String(cut(text))),
                other => (name.clone(), shortened(other)),
            })
            .collect(),
        other => other.clone(),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TOKEN_CHARACTERS).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_shows_no_token_whole() {
        let session = json!({"accessToken": "_act-sbx-jwt-".to_owned() + &"x".repeat(99), "n": 1});

        let text = shortened(&session).to_string();

        assert_eq!(text, r#"{"accessToken":"_act-sbx-jwt-xxxxxxx…","n":1}"#);
    }
}
