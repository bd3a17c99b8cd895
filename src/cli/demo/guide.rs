//! What the demo tells: to a person, calls to paste; to a program, one line of JSON.

use serde_json::{Value, json};

use super::stage::{Cast, Stage};
use crate::cli::exit::CliError;

/// One JSON object with everything that a script needs.
pub(super) fn for_programs(stage: &Stage, cast: &Cast) -> Value {
    let customers: Vec<Value> = [&cast.business, &cast.individual]
        .map(|it| json!({"organizationId": it.id, "type": it.kind, "url": it.url}))
        .to_vec();
    json!({
        "api": stage.api,
        "brokerKey": stage.key,
        "brokerOrganizationId": stage.broker,
        "customers": customers,
        "sumsub": stage.sumsub,
    })
}

/// The verification guide's calls, with real ids and keys.
pub(super) fn for_people(stage: &Stage, cast: &Cast) -> Result<String, CliError> {
    let Stage { api, key, broker, control, .. } = stage;
    let (business, individual) = (&cast.business.id, &cast.individual.id);
    let (link, token) = (&cast.business.url, stage.share_token()?);
    let register = stage.register.display();
    Ok(format!(
        "\
Countersign is up at {api}, with a Sumsub simulator beside it. Nothing leaves this machine.

1. Start a session for the customer Acme Trading Co. (BUSINESS)

curl -X POST {api}/v1/organizations/verification \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Nxos-On-Behalf-Of: {business}'

   The customer signs the letter and verifies itself here, in one sitting; then decide as
   Sumsub would, in the same window:
   {link}

2. Poll for the result

curl {api}/v1/organizations/verification \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Nxos-On-Behalf-Of: {business}'

3. Import Ada Lovelace (INDIVIDUAL), whom a partner has verified

   An import needs a signed Letter of Authorization. Record the signature:

countersign loa sign --database '{register}' \\
  --granting {individual} \\
  --authorized {broker} \\
  --signer-name 'Ada Lovelace' --signer-role customer --how paper --reference folder/1

curl -X POST {api}/v1/organizations/verification/import \\
  -H 'Authorization: Bearer {key}' \\
  -H 'Nxos-On-Behalf-Of: {individual}' \\
  -H 'Content-Type: application/json' \\
  -d '{{ \"shareToken\": \"{token}\" }}'

More to try
  countersign console --database '{register}'
  countersign org list --database '{register}'
  countersign verification show {business} --database '{register}'
  countersign inbox list --database '{register}'
  curl {control}/     what else the simulator can play
  http://127.0.0.1:9000/     where a receiver of yours may take webhooks (the demo's webhook-allow)

Ctrl-C ends it.
"
    ))
}
