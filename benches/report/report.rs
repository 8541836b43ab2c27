//! All that was measured: what `target/bench/report.json` holds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    goals::Goal,
    job::{Alone, Conversion, Figures, Latency, Setting, Share},
    ways::CEILING,
};

#[derive(Default, Serialize)]
pub struct Report {
    pub machine: String,
    pub rounds: usize,
    /// Seconds of one measurement; some cases take several times that.
    pub window: f64,
    /// By model: the library's best setting.
    pub found: BTreeMap<String, Setting>,
    pub counts: Vec<Count>,
    pub cells: Vec<Cell>,
    /// Our time over that of GStreamer's converter.
    pub conversion: Option<Spread>,
    pub conversions: Vec<Conversion>,
    /// By way: the reason.
    pub not_run: BTreeMap<String, String>,
    pub goals: Vec<Goal>,
}

/// How many results came of sources that end.
#[derive(Serialize)]
pub struct Count {
    pub way: String,
    pub given: u64,
    pub out: u64,
    /// Version of ONNX Runtime, where the way told it.
    pub library: Option<String>,
}

/// One way with one case and number of feeds, over all rounds.
#[derive(Serialize)]
pub struct Cell {
    pub case: &'static str,
    pub feeds: usize,
    pub way: &'static str,
    /// One a round; none where it failed.
    pub figures: Vec<Option<Figures>>,
    /// Why, the last time it did.
    pub failure: Option<String>,
    pub rate: Option<Spread>,
    pub cpu_per_thousand: Option<Spread>,
    pub peak_mb: Option<Spread>,
    pub p50_ms: Option<Spread>,
    pub p99_ms: Option<Spread>,
    /// Of us: what share of the library's rate came out, in turns with it, see `worker/share.rs`.
    pub shares: Vec<Share>,
    /// Of us, with live sources: what one inference took just before. One a round; none where it failed.
    pub alone: Vec<Option<Alone>>,
    /// The shares, or else the rate over that of the library alone in the same round.
    pub of_ceiling: Option<Spread>,
}

/// The middle of some rounds, and the outermost ones.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let median = *values.get(values.len() / 2)?;
        Some(Self { median, least: *values.first()?, most: *values.last()? })
    }
}

impl Cell {
    pub fn new(case: &'static str, feeds: usize, way: &'static str) -> Self {
        Self {
            case,
            feeds,
            way,
            figures: Vec::new(),
            failure: None,
            rate: None,
            cpu_per_thousand: None,
            peak_mb: None,
            p50_ms: None,
            p99_ms: None,
            shares: Vec::new(),
            alone: Vec::new(),
            of_ceiling: None,
        }
    }

    pub fn add(&mut self, figures: Result<Figures, String>) {
        self.figures.push(figures.map_err(|reason| self.failure = Some(reason)).ok());
    }

    /// A figure over all rounds.
    pub fn spread(&self, figure: impl Fn(&Figures) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.figures.iter().flatten().filter_map(figure))
    }

    /// Of the latency and of one inference in the same round.
    pub fn beside_one_inference(&self, figure: impl Fn(Latency, Alone) -> f64) -> Option<Spread> {
        let rounds = self.figures.iter().zip(&self.alone);
        Spread::of(rounds.filter_map(|(figures, alone)| Some(figure(figures.as_ref()?.latency?, (*alone)?))))
    }

    /// A figure over that of another cell in the same round.
    pub fn over(&self, other: &Cell, figure: impl Fn(&Figures) -> f64) -> Option<Spread> {
        let rounds = self.figures.iter().zip(&other.figures);
        Spread::of(rounds.filter_map(|(ours, theirs)| Some(figure(ours.as_ref()?) / figure(theirs.as_ref()?))))
    }
}

impl Report {
    pub fn cell(&self, case: &str, feeds: usize, way: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.case == case && cell.feeds == feeds && cell.way == way)
    }

    /// Fills in what follows from the figures.
    pub fn finish(&mut self) {
        let of_ceiling: Vec<_> = self.cells.iter().map(|cell| self.of_ceiling(cell)).collect();
        for (cell, of_ceiling) in self.cells.iter_mut().zip(of_ceiling) {
            cell.rate = cell.spread(|figures| Some(figures.rate()));
            cell.cpu_per_thousand = cell.spread(|figures| Some(figures.cpu_per_thousand()));
            cell.peak_mb = cell.spread(|figures| Some(figures.peak_mb));
            cell.p50_ms = cell.spread(|figures| figures.latency.map(|latency| latency.p50_ms));
            cell.p99_ms = cell.spread(|figures| figures.latency.map(|latency| latency.p99_ms));
            cell.of_ceiling = of_ceiling;
        }
    }

    fn of_ceiling(&self, cell: &Cell) -> Option<Spread> {
        if !cell.shares.is_empty() {
            return Spread::of(cell.shares.iter().map(|share| share.rate));
        }
        cell.over(self.cell(cell.case, cell.feeds, CEILING)?, Figures::rate)
    }
}
