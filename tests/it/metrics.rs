//! Metrics: on a listener of their own, right at once, and without names of customers.

use countersign::api::{Api, ApiSettings};
use countersign::http::Request;
use std::sync::Arc;

use crate::rig::Rig;

fn request(path: &str) -> Request {
    Request { method: "GET".to_owned(), target: path.to_owned(), ..Request::default() }
}

#[test]
fn metrics_tell_requests_statuses_and_loas() {
    let rig = Rig::new();
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    rig.sign(&customer, &broker.id);
    let api = Api::new(Arc::clone(&rig.appliance), ApiSettings::default());
    api.handle(&request("/healthz"));
    api.handle(&request("/v1/secret-path/of-a-client"));

    let text = String::from_utf8(api.handle_metrics(&request("/metrics")).body).unwrap();

    for line in [
        "countersign_requests_total{method=\"GET\",route=\"/healthz\",code=\"200\"} 1",
        "countersign_requests_total{method=\"GET\",route=\"other\",code=\"404\"} 1",
        "countersign_request_duration_seconds_count{route=\"/healthz\"} 1",
        "countersign_verifications{status=\"NOT_STARTED\"} 2",
        "countersign_authorizations{state=\"suspended\"} 1",
        "countersign_oldest_pending_seconds 0",
        "countersign_outbox_depth 0",
        "countersign_webhooks_by_secret{secret=\"first\"} 0",
        "countersign_webhooks_by_secret{secret=\"second\"} 0",
        "countersign_backups_made 0",
        "countersign_backups_failed 0",
        "countersign_backup_newest_timestamp_seconds 0",
        "countersign_register_writable 1",
        "countersign_disk_free_bytes ",
        "countersign_log_bytes ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("secret-path") && !text.contains("Acme") && !text.contains(&customer));
    assert_eq!(text.matches("# EOF").count(), 1);
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_public_listener_shows_no_metrics() {
    let rig = Rig::new();

    assert_eq!(rig.call("GET", "/metrics", &[], b"").refusal(), (404, "not_found"));
}
