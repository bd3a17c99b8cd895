//! No broker can starve another: rates, waiting places, calls to Sumsub and outgoing deliveries are
//! shared by organization, and a broker that is alone has them all.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver as Channel, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use countersign::api::{ApiSettings, OrganizationRate, RateLimits};
use countersign::domain::letter::{LetterTemplate, STANDARD_LETTER};
use countersign::http::limits::Limits;
use countersign::http::server::{self, Server};
use countersign::http::{Request, Response, Service};
use countersign::sim::{DeliveryMode, RequestLimit, Settings};
use countersign::usecase::decide::Decision;
use countersign::usecase::deliver_events::{Courier, deliver_due};
use serde_json::{Value, json};

use crate::outgoing::{delete, endpoint, wait_until};
use crate::receiver::Receiver;
use crate::rig::{Answer, Broker, Rig, START_MS, Setup};
use crate::sumsub::{World, kind};
use crate::waiting::wait_until_waiting;

const POLL: &str = "/v1/organizations/verification";

// --- rates ---------------------------------------------------------------------------------------

fn with_rate(requests_per_s: u32, burst: u32) -> Rig {
    let organization_rate = OrganizationRate { requests_per_s, burst };
    let api = ApiSettings { organization_rate, ..Setup::default().api };
    Rig::with(Setup { api, ..Setup::default() })
}

/// Asks until an answer is refused: a bucket fills again while a slow machine asks.
fn until_refused(ask: impl FnMut(usize) -> Answer) -> Answer {
    (0..10_000).map(ask).find(|it| it.status != 200).expect("nothing is refused")
}

#[test]
fn many_keys_share_their_organizations_rate() {
    let rig = with_rate(1, 30);
    let (broker, other) = (rig.broker(), rig.broker());
    let keys: Vec<String> = (0..300).map(|_| rig.key_of(&broker.id)).collect();

    let first = rig.get("/v1/organizations", &broker.key, None);
    let refused = until_refused(|it| rig.get("/v1/organizations", &keys[it % 300], None));

    assert_eq!(first.header("RateLimit-Policy"), Some("\"organization\";q=30;w=30"));
    assert_eq!(first.header("RateLimit"), Some("\"organization\";r=29;t=1"));
    assert_eq!(refused.refusal(), (429, "rate_limited"));
    assert_eq!(refused.header("RateLimit"), Some("\"organization\";r=0;t=1"));
    assert_eq!(refused.header("Retry-After"), Some("1"));
    assert_eq!(rig.get("/v1/organizations", &other.key, None).status, 200);
}

#[test]
fn acting_for_many_customers_is_one_organizations_rate() {
    let rig = with_rate(1, 10);
    let (broker, other) = (rig.broker(), rig.broker());
    let customers: Vec<String> = (0..5).map(|_| rig.customer(&broker, "BUSINESS")).collect();

    let refused = until_refused(|it| rig.get(POLL, &broker.key, Some(&customers[it % 5])));

    assert_eq!(refused.refusal(), (429, "rate_limited"));
    assert_eq!(rig.get(POLL, &other.key, None).status, 200);
}

#[test]
fn the_nearer_of_a_keys_and_its_organizations_limit_is_shown() {
    let rates = RateLimits { requests_per_s: 1, burst: 20, wrong_keys_per_minute: 0 };
    let organization_rate = OrganizationRate { requests_per_s: 1, burst: 30 };
    let api = ApiSettings { rates, organization_rate, ..Setup::default().api };
    let rig = Rig::with(Setup { api, ..Setup::default() });
    let broker = rig.broker();
    let second = rig.key_of(&broker.id);
    let policy_of = |answer: &Answer| {
        let limit = answer.header("RateLimit").unwrap();
        limit.split(';').next().unwrap().to_owned()
    };

    let first = rig.get("/v1/organizations", &broker.key, None);
    let by_key = until_refused(|_| rig.get("/v1/organizations", &broker.key, None));
    let by_organization = until_refused(|_| rig.get("/v1/organizations", &second, None));

    let policies = "\"key\";q=20;w=20, \"organization\";q=30;w=30";
    assert_eq!(first.header("RateLimit-Policy"), Some(policies));
    assert_eq!([&first, &by_key].map(policy_of), ["\"key\"", "\"key\""]);
    assert_eq!(policy_of(&by_organization), "\"organization\"");
}

// --- waiting places ------------------------------------------------------------------------------

fn with_waits(waits_max: usize) -> Rig {
    let letter = Some(LetterTemplate::parse(STANDARD_LETTER).unwrap());
    let api = ApiSettings { waits_max, ..Setup::default().api };
    Rig::with(Setup { api, letter, ..Setup::default() })
}

fn customer(rig: &Rig) -> (Broker, String) {
    let broker = rig.broker();
    let customer = rig.customer(&broker, "BUSINESS");
    (broker, customer)
}

/// A poll that waits as long as it may for another state than the present one.
fn wait(rig: &Rig, broker: &Broker, customer: &str) -> Answer {
    let mut headers = vec![
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Nxos-On-Behalf-Of".to_owned(), customer.to_owned()),
    ];
    let tag = rig.call("GET", POLL, &headers, b"").header("ETag").unwrap().to_owned();
    headers.push(("If-None-Match".to_owned(), tag));
    headers.push(("Prefer".to_owned(), "wait=60".to_owned()));
    rig.call("GET", POLL, &headers, b"")
}

fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.header("Preference-Applied"))
}

#[test]
fn a_broker_that_fills_every_waiting_place_leaves_one_for_another() {
    let rig = with_waits(4);
    let (hog, hogs) = customer(&rig);
    let (broker, customer) = customer(&rig);
    rig.advance(1000);

    std::thread::scope(|scope| {
        let (sender, answers) = channel();
        for _ in 0..4 {
            let sender = sender.clone();
            let (rig, hog, hogs) = (&rig, &hog, &hogs);
            scope.spawn(move || sender.send(wait(rig, hog, hogs)).unwrap());
        }
        wait_until_waiting(&rig, 4);

        let waiting = scope.spawn(|| wait(&rig, &broker, &customer));
        // One of those that filled the places is answered early, and as if its time were over.
        let early = answers.recv().unwrap();
        assert_eq!(told(&early), (304, Some("wait=60")));
        wait_until_waiting(&rig, 4);
        rig.decide(&customer, Decision::Hold).unwrap();

        assert_eq!(waiting.join().unwrap().text("/status"), "ON_HOLD");
        assert!(answers.try_recv().is_err(), "the others go on waiting");
        rig.decide(&hogs, Decision::Hold).unwrap();
        assert!((0..3).all(|_| answers.recv().unwrap().text("/status") == "ON_HOLD"));
    });
}

#[test]
fn a_single_broker_may_have_every_place() {
    let rig = with_waits(4);
    let (broker, customer) = customer(&rig);
    rig.advance(1000);

    std::thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..4).map(|_| scope.spawn(|| wait(&rig, &broker, &customer))).collect();
        wait_until_waiting(&rig, 4);

        assert_eq!(told(&wait(&rig, &broker, &customer)), (304, None), "there is no fifth place");
        rig.decide(&customer, Decision::Hold).unwrap();

        for it in waiting {
            assert_eq!(told(&it.join().unwrap()), (200, Some("wait=60")));
        }
    });
}

#[test]
fn brokers_with_equal_shares_of_the_waiting_places_do_not_end_each_others_waits() {
    let rig = with_waits(2);
    let parties: Vec<_> = (0..3).map(|_| customer(&rig)).collect();
    rig.advance(1000);

    std::thread::scope(|scope| {
        let waiting: Vec<_> = parties[..2]
            .iter()
            .map(|(broker, customer)| scope.spawn(|| wait(&rig, broker, customer)))
            .collect();
        wait_until_waiting(&rig, 2);

        assert_eq!(told(&wait(&rig, &parties[2].0, &parties[2].1)), (304, None));
        for (_, customer) in &parties {
            rig.decide(customer, Decision::Hold).unwrap();
        }

        for it in waiting {
            assert_eq!(told(&it.join().unwrap()), (200, Some("wait=60")));
        }
    });
}

#[test]
fn a_brokers_customers_that_fill_every_page_wait_leave_one_for_anothers() {
    // For four clients of the API, one browser on the pages may wait.
    let provider = Provider::start();
    let letter = Some(LetterTemplate::parse(STANDARD_LETTER).unwrap());
    let api = ApiSettings { waits_max: 8, ..Setup::default().api };
    let setup = Setup { api, letter, sumsub_url: provider.url.clone(), ..Setup::default() };
    let rig = Rig::with(setup);
    let page = |(broker, customer): &(Broker, String)| {
        let session = rig.start_session(&broker.key, Some(customer));
        session.text("/url").strip_prefix(&rig.url).unwrap().to_owned()
    };
    let [hog, other] = [customer(&rig), customer(&rig)];
    let paths = [page(&hog), page(&hog), page(&other)];
    let visit = |path: &str| {
        rig.call("GET", &format!("{path}/status?stage=sign&wait=30"), &[], b"").text("/stage").len()
    };

    std::thread::scope(|scope| {
        let (sender, answers) = channel();
        for path in &paths[..2] {
            let (sender, visit) = (sender.clone(), &visit);
            scope.spawn(move || sender.send(visit(path)).unwrap());
        }
        wait_until_waiting(&rig, 2);

        let waiting = scope.spawn(|| visit(&paths[2]));
        assert_eq!(answers.recv().unwrap(), "sign".len(), "answered early, with the present stage");
        wait_until_waiting(&rig, 2);
        rig.appliance.store.changes().end_waits();

        assert_eq!([waiting.join().unwrap(), answers.recv().unwrap()], [4, 4]);
    });
}

// --- calls to Sumsub -----------------------------------------------------------------------------

/// A Sumsub that answers sessions, but holds every call about some customers until it is let go.
struct Provider {
    server: Option<Server>,
    url: String,
    held: Channel<()>,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    slow: Mutex<BTreeSet<String>>,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Provider {
    fn start() -> Self {
        let gate = Arc::new(Gate::default());
        let (sender, held) = channel();
        let (at_gate, sender) = (Arc::clone(&gate), Mutex::new(sender));
        let service = Service {
            handle: Box::new(move |request| {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let is_slow = at_gate.slow.lock().unwrap().iter().any(|it| text.contains(it));
                if is_slow {
                    sender.lock().unwrap().send(()).unwrap();
                    let is_open = at_gate.is_open.lock().unwrap();
                    drop(at_gate.opened.wait_while(is_open, |it| !*it).unwrap());
                }
                answer(request)
            }),
            refuse: |_| Response { status: 400, headers: Vec::new(), body: Vec::new() },
            body_bytes_max: |_, _| 65_536,
            clock: Arc::new(|| START_MS),
        };
        let listener = server::listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = server::serve(listener, Limits::default(), service).unwrap();
        Self { server: Some(server), url, held, gate }
    }

    fn holds_calls_about(&self, customer: &str) {
        self.gate.slow.lock().unwrap().insert(customer.to_owned());
    }

    fn let_go(&self) {
        *self.gate.is_open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.let_go();
        if let Some(server) = self.server.take() {
            server.stop(Duration::from_secs(5));
        }
    }
}

fn answer(request: &Request) -> Response {
    let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    // An applicant's id is the external one, so that this needs no memory.
    let applicant = |id: &Value| json!({"id": id, "externalUserId": id});
    let body = match request.path() {
        "/resources/applicants" => applicant(&asked["externalUserId"]),
        path if path.ends_with("/one") => applicant(&json!(path.split('/').nth(3).unwrap())),
        "/resources/accessTokens/sdk" => json!({"token": "_act-sbx-x", "userId": asked["userId"]}),
        _ => json!({"url": "https://in.sumsub.com/websdk/p/x"}),
    };
    let headers = vec![("Content-Type", "application/json".to_owned())];
    Response { status: 200, headers, body: body.to_string().into_bytes() }
}

#[test]
fn hanging_sessions_of_one_broker_leave_another_its_session() {
    let provider = Provider::start();
    let setup = Setup { permits: 4, sumsub_url: provider.url.clone(), ..Setup::default() };
    let rig = Rig::with(setup);
    let (hog, hogs) = customer(&rig);
    let (broker, customer) = customer(&rig);
    provider.holds_calls_about(&hogs);

    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| rig.start_session(&hog.key, Some(&hogs)));
        }
        // One broker alone has as many calls as the setting says.
        (0..4).for_each(|_| provider.held.recv().unwrap());

        let refused = rig.start_session(&hog.key, Some(&hogs));
        let session = rig.start_session(&broker.key, Some(&customer));
        provider.let_go();

        assert_eq!(refused.refusal(), (503, "server_busy"));
        assert_eq!(session.status, 200, "{session:?}");
    });
}

#[test]
fn hanging_sessions_of_one_broker_leave_the_operator_a_call() {
    let provider = Provider::start();
    let setup = Setup { permits: 1, sumsub_url: provider.url.clone(), ..Setup::default() };
    let rig = Rig::with(setup);
    let (hog, hogs) = customer(&rig);
    provider.holds_calls_about(&hogs);

    std::thread::scope(|scope| {
        scope.spawn(|| rig.start_session(&hog.key, Some(&hogs)));
        provider.held.recv().unwrap();

        let place = rig.appliance.permits.take(None);
        provider.let_go();

        assert!(place.is_ok());
    });
}

#[test]
fn a_broker_that_uses_up_its_share_of_sumsubs_limit_leaves_another_its_session() {
    let world = World::with(
        Settings { request_limit: RequestLimit::Sumsub, delivery: DeliveryMode::Manual, ..kind() },
        Setup::default(),
    );
    let (hog, hogs) = customer(&world.rig);
    let (broker, customer) = customer(&world.rig);
    // The clock stands still: all of it is one window of five seconds.
    let refused = (0..24)
        .map(|_| world.rig.start_session(&hog.key, Some(&hogs)))
        .find(|it| it.status != 200)
        .unwrap();

    let session = world.rig.start_session(&broker.key, Some(&customer));

    assert_eq!(refused.refusal(), (502, "provider_unavailable"));
    assert_eq!(session.status, 200, "{session:?}");
}

// --- outgoing deliveries -------------------------------------------------------------------------

fn test_event(rig: &Rig, broker: &Broker, endpoint: &str) -> Answer {
    let path = format!("/v1/webhooks/endpoints/{endpoint}/test");
    let headers = [("Authorization".to_owned(), format!("Bearer {}", broker.key))];
    rig.call("POST", &path, &headers, b"")
}

#[test]
fn twenty_black_holes_of_one_broker_do_not_hold_up_anothers_event() {
    let rig = Rig::new();
    let hog = rig.broker();
    let (broker, customer) = customer(&rig);
    let (hole, receiver) = (Receiver::start(), Receiver::start());
    hole.hold();
    endpoint(&rig, &broker, &receiver.url);
    deliver_due(&rig.appliance).unwrap();
    let courier = Courier::start(Arc::clone(&rig.appliance)).unwrap();

    // Created again, they are new ones, and none of them counts as quick.
    let mut count = 0;
    for _ in 0..2 {
        let holes: Vec<String> = (0..20).map(|_| endpoint(&rig, &hog, &hole.url)).collect();
        for it in &holes {
            (0..4).for_each(|_| assert_eq!(test_event(&rig, &hog, it).status, 200));
        }
        count = 32;
        wait_until(&|| hole.count() >= count);
        for it in &holes {
            delete(&rig, &hog, &format!("/v1/webhooks/endpoints/{it}"));
        }
    }
    rig.decide(&customer, Decision::Hold).unwrap();

    wait_until(&|| receiver.count() == 1);
    assert_eq!(hole.count(), count, "and all that time nothing of the first broker's had ended");
    hole.let_go();
    courier.stop(Duration::from_secs(5));
}

#[test]
fn twenty_black_holes_of_one_broker_do_not_hold_up_anothers_new_endpoint() {
    let rig = Rig::new();
    let hog = rig.broker();
    let (broker, customer) = customer(&rig);
    let (hole, receiver) = (Receiver::start(), Receiver::start());
    hole.hold();
    let courier = Courier::start(Arc::clone(&rig.appliance)).unwrap();
    for _ in 0..20 {
        let it = endpoint(&rig, &hog, &hole.url);
        (0..4).for_each(|_| drop(test_event(&rig, &hog, &it)));
    }
    wait_until(&|| hole.count() == 32);

    endpoint(&rig, &broker, &receiver.url);
    rig.decide(&customer, Decision::Hold).unwrap();

    wait_until(&|| receiver.count() == 1);
    hole.let_go();
    courier.stop(Duration::from_secs(5));
}

#[test]
fn an_endpoint_with_another_url_has_to_answer_before_it_counts_as_quick() {
    let rig = Rig::new();
    let broker = rig.broker();
    let (receiver, hole) = (Receiver::start(), Receiver::start());
    let endpoints: Vec<String> = (0..20).map(|_| endpoint(&rig, &broker, &receiver.url)).collect();
    for it in &endpoints {
        test_event(&rig, &broker, it);
    }
    deliver_due(&rig.appliance).unwrap();
    assert_eq!(receiver.count(), 20);
    hole.hold();
    let headers = [
        ("Authorization".to_owned(), format!("Bearer {}", broker.key)),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    for it in &endpoints {
        let (path, url) = (format!("/v1/webhooks/endpoints/{it}"), json!({"url": hole.url}));
        assert_eq!(rig.call("PATCH", &path, &headers, url.to_string().as_bytes()).status, 200);
        (0..4).for_each(|_| drop(test_event(&rig, &broker, it)));
    }
    let courier = Courier::start(Arc::clone(&rig.appliance)).unwrap();
    wait_until(&|| hole.count() >= 32);

    let quick = endpoint(&rig, &rig.broker(), &receiver.url);

    assert!(!quick.is_empty());
    assert_eq!(hole.count(), 32, "half of the places, and not all 64");
    hole.let_go();
    courier.stop(Duration::from_secs(5));
}

#[test]
fn test_events_that_nobody_takes_do_not_pile_up() {
    let rig = Rig::new();
    let broker = rig.broker();
    let receiver = Receiver::start();
    let endpoint = endpoint(&rig, &broker, &receiver.url);
    let sent = (0..100).filter(|_| test_event(&rig, &broker, &endpoint).status == 200).count();

    let refused = test_event(&rig, &broker, &endpoint);

    assert_eq!(sent, 100);
    assert_eq!(refused.refusal(), (400, "validation_error"));
    assert_eq!(deliver_due(&rig.appliance).unwrap(), 100, "and what was refused was not written");
    assert_eq!(test_event(&rig, &broker, &endpoint).status, 200);
}
