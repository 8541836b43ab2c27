//! One measurement, in a process of its own: its memory and its CPU time are nobody else's.

mod alone;
mod converter;
mod latency;
mod library;
mod nvfeed;
mod onnxinference;
mod share;
mod streams;
mod usage;

use crate::job::{Job, Task};

pub fn run(job: &str) {
    let job: Job = serde_json::from_str(job).expect("a job");
    gst::init().expect("GStreamer starts");
    let answer = match job.task {
        Task::Feeds if job.mode.starts_with("onnxinference") => serde_json::to_string(&onnxinference::run(&job)),
        Task::Feeds => serde_json::to_string(&nvfeed::run(&job)),
        Task::Library => serde_json::to_string(&library::run(&job)),
        Task::Search => serde_json::to_string(&library::search(&job)),
        Task::Alone => serde_json::to_string(&alone::run(&job)),
        Task::Share => serde_json::to_string(&share::run(&job)),
        Task::Converter => serde_json::to_string(&converter::run()),
    };
    println!("{}", answer.expect("figures become JSON"));
}
