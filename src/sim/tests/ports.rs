use super::rig::{Rig, settings};
use super::webhooks::receiver;
use crate::sim::{DeliveryMode, Settings, TenantId, serve};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// One request over one connection; the whole answer.
pub(super) fn exchange(address: SocketAddr, request: &crate::http::Request) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    write!(
        head,
        "Host: sim\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        request.body.len()
    )
    .unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&request.body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn over_its_ports_a_customer_is_verified_and_webhooks_follow_by_themselves() {
    let (url, taken) = receiver(2);
    let rig = Rig::with(Settings {
        delivery: DeliveryMode::Background,
        webhook_url: Some(url),
        ..settings()
    });
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let ports = serve::serve(&rig.simulator, listen(), listen()).unwrap();
    let target = ("POST", "/resources/applicants?levelName=kyc-level");

    let created = exchange(
        ports.api_address(),
        &rig.signed(TenantId::Recipient, target, r#"{"externalUserId":"org_1"}"#),
    );
    let id = created.split_once("\"id\":\"").unwrap().1.get(..24).unwrap();
    let approve = super::rig::plain("POST", &format!("/applicants/{id}/approve"), "");
    let approved = exchange(ports.control_address(), &approve);

    assert!(created.starts_with("HTTP/1.1 201 "));
    assert!(approved.starts_with("HTTP/1.1 200 ") && approved.contains("GREEN"));
    let taken = taken.join().unwrap();
    assert!(taken[0].contains("applicantCreated") && taken[1].contains("applicantReviewed"));
    rig.simulator.stop();
    ports.stop(Duration::from_secs(1));
}

#[test]
fn the_control_port_does_not_listen_beyond_loopback() {
    let rig = Rig::new();
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let open = TcpListener::bind("0.0.0.0:0").unwrap();

    assert!(serve::serve(&rig.simulator, api, open).is_err());
}
