//! The disk's own rate: how often per second 4 KiB can be appended to a file and made durable.
//!
//! `fsync DIRECTORY SECONDS` prints appends per second. The file is removed at the end.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("a directory"));
    let seconds: f64 = arguments.next().expect("seconds").parse().expect("seconds as a number");
    let path = directory.join("fsync.bin");
    let mut file = File::create(&path)?;
    let page = [0x5a; 4096];
    let (began, span) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut count = 0_u32;
    while began.elapsed() < span {
        file.write_all(&page)?;
        // `fdatasync` on Linux.
        file.sync_data()?;
        count += 1;
    }
    println!("{:.0}", f64::from(count) / began.elapsed().as_secs_f64());
    drop(file);
    std::fs::remove_file(path)
}
