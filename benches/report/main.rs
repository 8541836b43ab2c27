//! The benchmark: we, the library alone and other ways of doing the same, side by side. docs/benchmark.md says how.
//!
//! `make bench` prints one table and writes `target/bench/report.json` and `target/bench/report.svg`. Every measurement
//! is a process of its own: this program starts others, and itself as a worker.

mod cases;
mod child;
mod goals;
mod job;
mod options;
mod plot;
mod report;
mod rounds;
mod table;
mod ways;
mod worker;

use std::{env, fs};

fn main() {
    if let Ok(job) = env::var(job::VARIABLE) {
        return worker::run(&job);
    }
    let options = options::Options::from_environment();
    let folder = ways::checkout().join("target/bench");
    fs::create_dir_all(&folder).expect("a folder of its own");
    let report = rounds::run(&options);
    println!("\n{}", table::of(&report));
    let json = serde_json::to_string_pretty(&report).expect("figures become JSON");
    fs::write(folder.join("report.json"), json + "\n").expect("the report is written");
    plot::draw(&report, &folder.join("report.svg"));
    println!("written: target/bench/report.json, target/bench/report.svg");
}
