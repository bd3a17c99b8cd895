//! Waiting clients: so many connections, each with `Prefer: wait=60` on its own customer; then a signed
//! webhook for one customer after another, and the time from sending it to the waiting client's answer.
//!
//! ```text
//! waits ADDRESS CLIENTS IDS KEY SECRET SAMPLES
//! ```
//!
//! Says `waiting` when every client waits, and sends nothing until it has read a line: the time to look at
//! the server's memory, and at polls beside the waiting. Then prints `p50 p99` in milliseconds.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let texts: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [address, clients, ids, key, secret, samples] = texts.as_slice() else {
        panic!("waits ADDRESS CLIENTS IDS KEY SECRET SAMPLES");
    };
    let clients: usize = clients.parse().expect("a number of clients");
    let samples: usize = samples.parse().expect("a number of samples");
    let customers: Vec<(String, String)> = fs::read_to_string(ids)
        .expect("the file of ids")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(customer, applicant)| (customer.to_owned(), applicant.to_owned()))
        .take(clients)
        .collect();
    let (answered, answers) = channel();
    let waiting: Vec<_> = customers
        .iter()
        .enumerate()
        .map(|(index, (customer, _))| {
            wait((*address).to_owned(), customer, key, index, answered.clone())
        })
        .collect();
    // Every connection has sent its request; the server needs a moment to have taken the last.
    thread::sleep(Duration::from_millis(500));
    println!("waiting");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    // One that was answered already did not wait.
    assert!(answers.try_recv().is_err(), "a client was answered before its customer changed");
    let mut latencies = sample(address, &customers, secret, samples.min(clients), &answers);
    latencies.sort_by(f64::total_cmp);
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
    println!("{:.2} {:.2}", at(0.5), at(0.99));
    // The others wait on until the process ends with them.
    drop(waiting);
    std::process::exit(0);
}

fn wait(
    address: String,
    customer: &str,
    key: &str,
    index: usize,
    answered: Sender<(usize, Instant)>,
) -> TcpStream {
    let mut stream = TcpStream::connect(&address).expect("a connection");
    let head = format!(
        "GET /v1/organizations/verification HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {key}\r\nNxos-On-Behalf-Of: {customer}\r\n"
    );
    stream.write_all(format!("{head}\r\n").as_bytes()).expect("a request sent");
    let tag = answer(&mut stream).expect("an entity tag");
    stream
        .write_all(format!("{head}Prefer: wait=60\r\nIf-None-Match: {tag}\r\n\r\n").as_bytes())
        .expect("a request sent");
    let mut reading = stream.try_clone().expect("a second handle");
    Builder::new()
        .stack_size(64 * 1024)
        .spawn(move || {
            let mut byte = [0];
            if reading.read(&mut byte).is_ok_and(|it| it == 1) {
                answered.send((index, Instant::now())).unwrap_or_default();
            }
        })
        .expect("a thread");
    stream
}

/// Reads an answer to its end, and gives its ETag.
fn answer(stream: &mut TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut tag, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            if line.trim_end().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "etag" => tag = Some(value.to_owned()),
            "content-length" => length = value.parse().ok()?,
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    tag
}

/// One webhook after another, each for a customer that somebody waits for.
fn sample(
    address: &str,
    customers: &[(String, String)],
    secret: &str,
    samples: usize,
    answers: &Receiver<(usize, Instant)>,
) -> Vec<f64> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    (0..samples)
        .map(|number| {
            let index = number * (customers.len() / samples);
            let (customer, applicant) = &customers[index];
            let body = format!(
                "{{\"applicantId\":\"{applicant}\",\"type\":\"applicantOnHold\",\
                 \"reviewStatus\":\"onHold\",\"sandboxMode\":true,\"externalUserId\":\"{customer}\"}}"
            );
            let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(secret.as_bytes())
                .expect("a key of any length");
            mac.update(body.as_bytes());
            let digest: String =
                mac.finalize().into_bytes().iter().map(|it| format!("{it:02x}")).collect();
            let request = format!(
                "POST /webhooks/sumsub HTTP/1.1\r\nHost: localhost\r\nX-Payload-Digest: {digest}\r\n\
                 X-Payload-Digest-Alg: HMAC_SHA256_HEX\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            let sent = Instant::now();
            stream.write_all(request.as_bytes()).expect("a webhook sent");
            answer(&mut stream);
            loop {
                let (who, when) = answers.recv_timeout(Duration::from_secs(10)).expect("an answer");
                if who == index {
                    return when.duration_since(sent).as_secs_f64() * 1000.0;
                }
            }
        })
        .collect()
}
