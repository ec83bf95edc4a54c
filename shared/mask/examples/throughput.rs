//! How fast findings are looked for, in MB/s of one core: `cargo run --release -p countersign-mask --example
//! throughput`.

#![allow(clippy::print_stdout, reason = "the figures are what the program is for")]

use std::time::Instant;

use countersign_mask::Detectors;
use countersign_model::Detector;

const BYTES: usize = 16 << 20;

fn main() {
    let detectors: Detectors = Detector::ALL.into_iter().collect();
    for (name, line) in [
        ("prose", "The quick brown fox jumps over the lazy dog, and nobody minds that it does so again.\n"),
        ("rows", "10482\tBerlin\t2024-05-17 09:31:07.201+02\t149.90\t550e8400-e29b-41d4-a716-446655440000\n"),
        ("JSON", r#"{"id":10482,"city":"Berlin","path":"a\/b","tags":["x & y","50%"],"total":149.9}"#),
        ("dense", "dana@example.com\t4242 4242 4242 4242\t078-05-1120\t2024-05-17\n"),
    ] {
        let text = line.repeat(BYTES / line.len()).into_bytes();
        let started = Instant::now();
        let found = detectors.findings(&text).count();
        let seconds = started.elapsed().as_secs_f64();
        println!("{name:>6}: {:6.0} MB/s, {found} findings", text.len() as f64 / seconds / 1e6);
    }
}
