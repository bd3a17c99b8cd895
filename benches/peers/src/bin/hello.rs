//! The bare server that a poll is compared with: stock `tiny_http`, as its README writes it.
//!
//! `hello ADDRESS [THREADS]`. One worker thread per core serves it best (2, 4 and 8 were tried on
//! two cores): more of them only contend for its one queue.

use std::sync::Arc;
use std::thread;

use tiny_http::{Response, Server};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("an address, as 127.0.0.1:8081");
    let threads = arguments.next().map_or_else(
        || thread::available_parallelism().map_or(2, usize::from),
        |it| it.parse().expect("a number of threads"),
    );
    let server = Arc::new(Server::http(address).expect("a free address"));
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                for request in server.incoming_requests() {
                    // The client may have hung up; the next one has not.
                    drop(request.respond(Response::from_string("hello world")));
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().expect("a worker");
    }
}
