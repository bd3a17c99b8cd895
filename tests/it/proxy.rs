//! The way to Sumsub: through the proxy of the setting, and through no other.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::cli::Shell;
use crate::rig::{Rig, Setup};

/// A proxy that lets nobody through and remembers who asked.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

/// What ends the stand-in.
const END: &str = "END";

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&heads);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map(Result::unwrap) {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|it| !it.is_empty()).collect();
                if head.first().is_some_and(|it| it == END) {
                    return;
                }
                seen.lock().unwrap().push(head.join("\n"));
                drop((&stream).write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"));
            }
        });
        Self { address, heads, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Who has asked since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(format!("{END}\r\n\r\n").as_bytes()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The variables that other programs obey, all naming the proxy.
fn variables(proxy: &str) -> Vec<(&str, &str)> {
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"]
        .map(|it| (it, proxy))
        .to_vec()
}

/// A shell whose Sumsub is one that nobody resolves.
fn shell(more: &[(&str, &str)]) -> Shell {
    Shell::new()
        .with(&[
            ("COUNTERSIGN_SUMSUB_URL", "https://sumsub.invalid"),
            ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:token"),
            ("COUNTERSIGN_SUMSUB_SECRET_KEY", "secret"),
            ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "secret"),
            ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb-level"),
            ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc-level"),
        ])
        .with(more)
}

#[test]
fn proxy_variables_are_not_obeyed() {
    let proxy = Proxy::start();
    let url = proxy.url();
    let shell = shell(&variables(&url));
    let (broker, _) = shell.parties();

    shell.run(&["doctor"]).ends(1);
    shell.run(&["verification", "start", &broker]).refused(4);

    assert_eq!(proxy.take(), [""; 0], "nobody asks a proxy that no setting names");
    let there = shell.with(&[("COUNTERSIGN_SUMSUB_PROXY", &url)]);
    there.run(&["verification", "start", &broker]).refused(4);
    assert!(!proxy.take().is_empty(), "the stand-in does remember");
}

#[test]
fn the_demo_plays_its_story_whatever_the_proxy_variables_say() {
    let proxy = Proxy::start();
    let url = proxy.url();
    let shell = Shell::new().with(&variables(&url));

    let told = shell.run(&["demo", "--play"]).ok();

    assert!(told.contains("Every step did what it had to."), "{told}");
    assert_eq!(proxy.take(), [""; 0]);
}

#[test]
fn every_call_to_sumsub_goes_through_the_proxy_of_the_setting_and_its_password_stays_unseen() {
    let proxy = Proxy::start();
    let address = proxy.address;
    let login = format!("http://ada:pa%3Ass@{address}");
    let shell = shell(&[("COUNTERSIGN_SUMSUB_PROXY", &login)]);
    let (broker, _) = shell.parties();

    let doctor = shell.run(&["doctor"]);
    let started = shell.run(&["verification", "start", &broker]).refused(4);
    let config = shell.run(&["config"]);

    let heads = proxy.take();
    assert!(heads.len() >= 3, "the clock, the levels and the session: {heads:?}");
    for head in &heads {
        assert!(head.starts_with("CONNECT sumsub.invalid:443 HTTP/1.1\n"), "{head}");
        // ada:pa:ss
        assert!(head.to_lowercase().contains("proxy-authorization: basic"), "{head}");
        assert!(head.contains("YWRhOnBhOnNz"), "{head}");
    }
    assert!(doctor.out.contains(&format!("through the proxy {address}")), "{}", doctor.out);
    assert!(config.out.contains(&format!("http://ada:***@{address}")), "{}", config.out);
    for text in [doctor.out, doctor.err, started, config.out, config.err] {
        assert!(!text.contains("pa%3Ass") && !text.contains("pa:ss"), "{text}");
    }
}

#[test]
fn a_loopback_sumsub_is_never_asked_through_a_proxy() {
    let proxy = Proxy::start();
    let url = proxy.url();
    for sumsub in ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"] {
        let shell =
            shell(&[("COUNTERSIGN_SUMSUB_URL", sumsub), ("COUNTERSIGN_SUMSUB_PROXY", &url)]);
        let (broker, _) = shell.parties();

        shell.run(&["doctor"]).ends(1);
        shell.run(&["verification", "start", &broker]).refused(4);

        assert_eq!(proxy.take(), [""; 0], "{sumsub}");
    }
}

#[test]
fn a_proxy_that_refuses_is_an_outage_that_names_the_setting_and_the_api_says_502() {
    let proxy = Proxy::start();
    let rig = Rig::with(Setup {
        sumsub_url: "https://sumsub.invalid".to_owned(),
        sumsub_proxy: Some(ureq::Proxy::new(&proxy.url()).unwrap()),
        ..Setup::default()
    });
    let broker = rig.broker();

    let answer = rig.start_session(&broker.key, None);

    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(proxy.take().iter().all(|it| it.starts_with("CONNECT sumsub.invalid:443 ")));
    let shell = shell(&[("COUNTERSIGN_SUMSUB_PROXY", &proxy.url())]);
    let (broker, _) = shell.parties();
    let error = shell.run(&["verification", "start", &broker]).refused(4);
    assert!(error.contains("the proxy of sumsub-proxy refused"), "{error}");
}

#[test]
fn a_proxys_password_comes_from_a_variable_or_a_file_and_never_from_a_flag() {
    let proxy = Proxy::start();
    let login = format!("http://ada:Qpass@{}", proxy.address);
    let shell = shell(&[("COUNTERSIGN_SUMSUB_PROXY_FILE", "proxy")]);
    std::fs::write(shell.directory.file("proxy"), format!("{login}\n")).unwrap();

    let programs = shell.json(&["config"]);
    let flag = shell.run(&["config", "--sumsub-proxy", &login]).refused(2);
    let open = shell.run(&["config", "--sumsub-proxy", &proxy.url()]).ok();

    let settings = programs["settings"].as_array().unwrap();
    let it = settings.iter().find(|it| it["name"] == "sumsub-proxy").unwrap();
    assert_eq!(it["value"], format!("http://ada:***@{}", proxy.address));
    assert_eq!(it["source"], "file proxy");
    assert!(
        flag.contains("set COUNTERSIGN_SUMSUB_PROXY or COUNTERSIGN_SUMSUB_PROXY_FILE"),
        "{flag}"
    );
    assert!(open.contains(&proxy.url()), "{open}");
    for text in [programs.to_string(), flag] {
        assert!(!text.contains("Qpass"), "{text}");
    }
}
