//! How long a server takes from its spawn to its first 200 of `/healthz`.
//!
//! `start ADDRESS TIMES COMMAND [ARGUMENT]...` starts the command so many times, one after the
//! other, ends each once it has answered, and prints the median in milliseconds.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take before it counts as one that does not start.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr =
        arguments.next().and_then(|it| it.parse().ok()).expect("an address, as 127.0.0.1:8080");
    let times: usize = arguments.next().and_then(|it| it.parse().ok()).expect("a number of times");
    let command: Vec<String> = arguments.collect();
    let (program, rest) = command.split_first().expect("a command");
    let mut took: Vec<Duration> = (0..times).map(|_| once(address, program, rest)).collect();
    took.sort();
    println!("{:.1}", took[times / 2].as_secs_f64() * 1000.0);
}

fn once(address: SocketAddr, program: &str, arguments: &[String]) -> Duration {
    let began = Instant::now();
    let mut child =
        Command::new(program).args(arguments).stdout(Stdio::null()).spawn().expect("the command");
    while !is_healthy(address) {
        if began.elapsed() > PATIENCE {
            child.kill().expect("a child that can be ended");
            panic!("no answer on {address}");
        }
        thread::sleep(Duration::from_micros(200));
    }
    let took = began.elapsed();
    child.kill().expect("a child that can be ended");
    child.wait().expect("a child that ends");
    took
}

fn is_healthy(address: SocketAddr) -> bool {
    let mut start = [0; 12];
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    TcpStream::connect(address)
        .and_then(|mut stream| {
            stream.write_all(request)?;
            stream.read_exact(&mut start)
        })
        .is_ok_and(|()| &start == b"HTTP/1.1 200")
}
