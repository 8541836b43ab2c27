//! What the project wants to reach, held against what was measured.

use std::thread;

use serde::Serialize;

use crate::{
    job::{Alone, Figures, Latency},
    report::{Report, Spread},
    ways::OURS,
};

#[derive(Serialize)]
pub struct Goal {
    pub title: String,
    /// Such as `>= 0.95`.
    pub wanted: String,
    pub value: Option<Spread>,
    /// None where it was not measured.
    pub passed: Option<bool>,
}

enum Bound {
    AtLeast(f64),
    AtMost(f64),
}
use Bound::{AtLeast, AtMost};

/// A peer, who of us is held against it, and how many times its rate is wanted at a number of feeds.
struct Peer {
    name: &'static str,
    /// The best of them counts.
    ways: &'static [&'static str],
    ours: &'static str,
    wanted: &'static [(usize, f64)],
}

const PEERS: &[Peer] = &[
    Peer {
        name: "onnxinference 1.26",
        ways: &["onnxinference-1.26"],
        ours: "nvfeed-1.26",
        wanted: &[(1, 1.0), (8, 5.0), (16, 4.5)],
    },
    Peer {
        name: "onnxinference 1.28",
        ways: &["onnxinference-1.28"],
        ours: "nvfeed-1.28",
        wanted: &[(1, 1.0), (8, 5.0), (16, 4.5)],
    },
    Peer {
        name: "nv-runtime",
        ways: &["nv-runtime-block", "nv-runtime-drop"],
        ours: OURS,
        wanted: &[(1, 1.0), (8, 1.7), (16, 1.7)],
    },
    Peer {
        name: "the best Python",
        ways: &["python-each", "python-eight"],
        ours: OURS,
        wanted: &[(1, 1.0), (8, 1.7), (16, 1.7)],
    },
];

const RATE: fn(&Figures) -> f64 = Figures::rate;
const CPU: fn(&Figures) -> f64 = Figures::cpu_per_thousand;

pub fn of(report: &Report) -> Vec<Goal> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut goals = Vec::new();
    for (feeds, share) in [(1, 0.90), (4, 0.95), (8, 0.95), (16, 0.95)] {
        let value = report.cell("small", feeds, OURS).and_then(|cell| cell.of_ceiling);
        goals.push(Goal::new(format!("share of the ceiling, {}", counted(feeds)), AtLeast(share), value));
    }
    let nothing = report.cell("nothing", 8, OURS).and_then(|cell| cell.rate);
    // 40,000 on four cores, 20,000 on two.
    let wanted = AtLeast(10_000.0 * cores as f64);
    goals.push(Goal::new(format!("frames/s of a model that does nothing, 8 feeds, {cores} cores"), wanted, nothing));
    let conversion = "1080p NV12 to 640 wide, of the time of GStreamer's converter";
    goals.push(Goal::new(conversion.into(), AtMost(0.5), report.conversion));
    for peer in PEERS {
        goals.extend(peer.goals(report));
    }
    goals.extend(live(report));
    goals
}

impl Peer {
    fn goals(&self, report: &Report) -> Vec<Goal> {
        let mut goals = Vec::new();
        for &(feeds, wanted) in self.wanted {
            // Against the best of them: the smallest ratio.
            let ratio = self.worst(report, feeds, RATE, |a, b| a < b);
            goals.push(Goal::new(format!("frames/s, times {}, {}", self.name, counted(feeds)), AtLeast(wanted), ratio));
        }
        for &(feeds, _) in self.wanted {
            let ratio = self.worst(report, feeds, CPU, |a, b| a > b);
            goals.push(Goal::new(
                format!("CPU s a frame, share of that of {}, {}", self.name, counted(feeds)),
                AtMost(1.0),
                ratio,
            ));
        }
        goals
    }

    /// Our figure over theirs, for the one of them that comes out worst for us.
    fn worst(
        &self,
        report: &Report,
        feeds: usize,
        figure: fn(&Figures) -> f64,
        worse: fn(f64, f64) -> bool,
    ) -> Option<Spread> {
        let ours = report.cell("small", feeds, self.ours)?;
        let ratio = |way: &&str| ours.over(report.cell("small", feeds, way)?, figure);
        self.ways.iter().filter_map(ratio).reduce(|a, b| if worse(b.median, a.median) { b } else { a })
    }
}

fn live(report: &Report) -> Vec<Goal> {
    let one = report.cell("live", 1, OURS);
    let sixteen = report.cell("live", 16, OURS);
    let beyond = |inference_ms: fn(Alone) -> f64| {
        one.and_then(|cell| cell.beside_one_inference(|latency, alone| latency.p50_ms - inference_ms(alone)))
    };
    // 15 ms where an inference takes 3.
    let times = |latency: Latency, alone: Alone| latency.p99_ms / alone.inference_ms;
    vec![
        Goal::new(
            "live, 1 feed: CPU s for 1,000 frames".into(),
            AtMost(4.0),
            one.and_then(|cell| cell.cpu_per_thousand),
        ),
        Goal::new("live, 1 feed: p50 ms beyond one inference".into(), AtMost(0.5), beyond(|alone| alone.inference_ms)),
        Goal::new(
            "  beyond one 33 ms after the one before".into(),
            AtMost(0.5),
            beyond(|alone| alone.paced_inference_ms),
        ),
        // A window cuts through a frame of each feed: half a percent.
        Goal::new("live, 16 feeds: frames/s of 480".into(), AtLeast(480.0 * 0.995), sixteen.and_then(|cell| cell.rate)),
        Goal::new(
            "live, 16 feeds: CPU s for 1,000 frames".into(),
            AtMost(3.3),
            sixteen.and_then(|cell| cell.cpu_per_thousand),
        ),
        Goal::new(
            "live, 16 feeds: p99, times one inference".into(),
            AtMost(5.0),
            sixteen.and_then(|cell| cell.beside_one_inference(times)),
        ),
    ]
}

fn counted(feeds: usize) -> String {
    if feeds == 1 { "1 feed".into() } else { format!("{feeds} feeds") }
}

impl Goal {
    fn new(title: String, bound: Bound, value: Option<Spread>) -> Self {
        let (wanted, passed) = match bound {
            AtLeast(least) => (format!(">= {least:.2}"), value.map(|value| value.median >= least)),
            AtMost(most) => (format!("<= {most:.2}"), value.map(|value| value.median <= most)),
        };
        Self { title, wanted, value, passed }
    }
}
