//! Runs everything, interleaved: within a round each case and number of feeds is measured with one way after the other,
//! so that a machine that drifts drifts for all of them.

use std::{collections::BTreeMap, fs, thread};

use crate::{
    cases::{CASES, Case},
    child::ask,
    goals,
    job::{Alone, Conversion, Figures, Job, Setting, Share, Task},
    options::Options,
    report::{Cell, Count, Report, Spread},
    ways::{CEILING, OURS, SETUP, WAYS, Way, settings_folder},
};

/// Seconds for which one setting of the library is looked at.
const SEARCH: f64 = 0.5;
/// What the counting is checked with: sources that end.
const COUNT_FEEDS: usize = 4;
const COUNT_FRAMES: u64 = 200;

pub fn run(options: &Options) -> Report {
    let mut report = Report { machine: machine(), rounds: options.rounds, window: options.window, ..Report::default() };
    println!("{}; {} rounds of {} s\n", report.machine, options.rounds, options.window);
    let cases: Vec<_> = CASES.iter().filter(|case| options.takes_case(case.id)).collect();
    let ways = available(options, &mut report);

    for way in ways.iter().filter(|way| !way.is_ceiling()) {
        count(way, &mut report);
    }
    let ways: Vec<_> = ways.into_iter().filter(|way| !report.not_run.contains_key(way.id)).collect();
    for case in &cases {
        if !report.found.contains_key(case.model) {
            search(case, &mut report);
        }
    }

    let mut cells = cells(&cases, &ways);
    let total = cells.len() * options.rounds;
    let mut conversions = Vec::new();
    for round in 0..options.rounds {
        if options.takes_way(OURS) {
            choose_settings(&cases);
        }
        for (number, (case, way, cell)) in cells.iter_mut().enumerate() {
            if way.id == OURS && case.is_live() {
                cell.alone.push(alone(case));
            }
            let figures = measure(case, way, cell.feeds, round, options, &report.found);
            let done = round * total / options.rounds + number + 1;
            let told = match &figures {
                Ok(figures) => format!("{:>9.1} frames/s", figures.rate()),
                Err(reason) => reason.clone(),
            };
            println!("[{done}/{total}] {:<8} {:>2} x  {:<28} {told}", case.id, cell.feeds, way.title);
            cell.add(figures);
            if way.id == OURS && !case.is_live() {
                cell.shares.extend(shares(case, cell.feeds, options, &report.found));
            }
        }
        if options.takes_way(OURS) {
            conversions.extend(ask::<Conversion>(own(), &Job { task: Task::Converter, ..cases_job(cases.first()) }));
        }
    }
    report.cells = cells.into_iter().map(|(_, _, cell)| cell).collect();
    report.finish();
    report.conversion = Spread::of(conversions.iter().map(|times| times.ours_ms / times.converter_ms));
    report.conversions = conversions;
    report.goals = goals::of(&report);
    report
}

/// The ways that can run; the others go into the report with their reasons.
fn available<'a>(options: &Options, report: &mut Report) -> Vec<&'a Way> {
    let mut ways = Vec::new();
    for way in WAYS.iter().filter(|way| options.takes_way(way.id)) {
        if way.is_older() {
            println!("note: the worker of {} is older than this program: after a change, run {SETUP}", way.id);
        }
        match way.missing() {
            None => ways.push(way),
            Some(reason) => {
                println!("not run: {} ({}): {reason}", way.title, way.id);
                report.not_run.insert(way.id.into(), reason);
            }
        }
    }
    ways
}

/// Whether as many results come out as frames go in: a way that counts wrongly is fast.
fn count(way: &Way, report: &mut Report) {
    let case = &CASES[0];
    let job = Job { mode: way.mode.into(), frames: Some(COUNT_FRAMES), ..case.job(COUNT_FEEDS, 0.0) };
    let given = COUNT_FEEDS as u64 * COUNT_FRAMES;
    match ask::<Figures>(way, &job) {
        Ok(figures) if figures.frames > 0 => {
            println!("count: {:<28} {given} frames in, {} results out", way.title, figures.frames);
            let library = figures.library;
            report.counts.push(Count { way: way.id.into(), given, out: figures.frames, library });
        }
        answer => {
            let reason = answer.err().unwrap_or("no result came out".into());
            println!("count: {:<28} {reason}", way.title);
            report.not_run.insert(way.id.into(), reason);
        }
    }
}

/// Has our settings measured anew and kept for the round, as those of a program that is started again are: what an earlier
/// run kept may come from a machine that was not left alone.
fn choose_settings(cases: &[&Case]) {
    let _ = fs::remove_dir_all(settings_folder());
    let mut models: Vec<_> = cases.iter().map(|case| case.model).collect();
    models.sort_unstable();
    models.dedup();
    for case in models.iter().filter_map(|model| cases.iter().find(|case| case.model == *model)) {
        let job = Job { frames: Some(1), ..case.job(1, 0.0) };
        if let Err(reason) = ask::<Figures>(own(), &job) {
            println!("settings for {}: {reason}", case.model);
        }
    }
}

/// The best setting of the library for the case's model.
fn search(case: &Case, report: &mut Report) {
    let job = Job { task: Task::Search, window: SEARCH, ..case.job(1, SEARCH) };
    match ask::<Setting>(own(), &job) {
        Ok(found) => {
            println!("ceiling: {}: {found:?}", case.model);
            report.found.insert(case.model.into(), found);
        }
        Err(reason) => println!("ceiling: {}: {reason}", case.model),
    }
}

fn cells<'a>(cases: &[&'a Case], ways: &[&'a Way]) -> Vec<(&'a Case, &'a Way, Cell)> {
    let mut cells = Vec::new();
    for &case in cases {
        for &feeds in case.feeds {
            for way in ways.iter().filter(|way| way.joins(case)) {
                cells.push((case, *way, Cell::new(case.id, feeds, way.id)));
            }
        }
    }
    cells
}

fn measure(
    case: &Case,
    way: &Way,
    feeds: usize,
    round: usize,
    options: &Options,
    found: &BTreeMap<String, Setting>,
) -> Result<Figures, String> {
    let mut job = Job { mode: way.mode.into(), starts: case.starts(feeds, round), ..case.job(feeds, options.window) };
    if way.is_ceiling() {
        let found = found.get(case.model).ok_or("no setting was found")?;
        (job.task, job.setting) = (Task::Library, Some(*found));
    }
    let figures: Figures = ask(way, &job)?;
    if figures.frames == 0 { Err("no result came out".into()) } else { Ok(figures) }
}

/// What one inference takes now.
fn alone(case: &Case) -> Option<Alone> {
    let job = Job { task: Task::Alone, ..case.job(1, 0.0) };
    match ask::<Alone>(own(), &job) {
        Ok(alone) => {
            let Alone { inference_ms, paced_inference_ms } = alone;
            println!("one inference: {inference_ms:.2} ms, 33 ms after another {paced_inference_ms:.2}");
            Some(alone)
        }
        Err(reason) => {
            println!("one inference: {reason}");
            None
        }
    }
}

/// What of the library's rate comes out of our feeds; nothing where the library is not asked for.
fn shares(case: &Case, feeds: usize, options: &Options, found: &BTreeMap<String, Setting>) -> Vec<Share> {
    let Some(&found) = found.get(case.model).filter(|_| options.takes_way(CEILING)) else { return Vec::new() };
    let job = Job { task: Task::Share, setting: Some(found), ..case.job(feeds, options.window) };
    ask(own(), &job).unwrap_or_else(|reason| {
        println!("share of the ceiling: {reason}");
        Vec::new()
    })
}

fn own() -> &'static Way {
    WAYS.iter().find(|way| way.id == OURS).expect("we are there")
}

fn cases_job(case: Option<&&Case>) -> Job {
    case.copied().unwrap_or(&CASES[0]).job(1, 0.0)
}

/// Cores and name of the processor.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    format!("{cores} cores, {}", name.map_or("an unnamed processor", |(_, name)| name.trim()))
}
