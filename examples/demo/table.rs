//! How all feeds are doing, line by line: refreshed in place on a terminal, else printed once a second.

use std::{
    io::{self, IsTerminal},
    time::{Duration, Instant},
};

use crate::feed::{Feed, Progress};

pub struct Table {
    in_place: bool,
    shown: Option<Instant>,
}

impl Table {
    pub fn new() -> Self {
        Self { in_place: io::stdout().is_terminal(), shown: None }
    }

    /// How often it is shown.
    pub fn period(&self) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(if self.in_place { 100 } else { 1000 })
    }

    pub fn is_due(&self) -> bool {
        let period = Duration::from(self.period());
        self.shown.is_none_or(|shown| shown.elapsed() >= period)
    }

    pub fn show(&mut self, feeds: &[Feed]) {
        match self.shown {
            None => println!(
                "{:<16}{:>10}{:>8}{:>10}{:>9}{:>13}{:>13}",
                "video", "size", "frames", "frames/s", "objects", "latency p50", "p95"
            ),
            Some(_) if self.in_place => print!("\x1b[{}A", feeds.len()),
            Some(_) => println!(),
        }
        for feed in feeds {
            let Progress { size, frames, frames_per_second, objects, latency: (p50, p95) } = feed.progress();
            println!(
                "{:<16}{size:>10}{frames:>8}{frames_per_second:>10.1}{objects:>9}{:>10.1} ms{:>10.1} ms",
                feed.name,
                milliseconds(p50),
                milliseconds(p95)
            );
        }
        self.shown = Some(Instant::now());
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}
