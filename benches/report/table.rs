//! The report as text.

use std::fmt::Write;

use crate::{
    cases::{CASES, Case},
    goals::Goal,
    report::{Cell, Report, Spread},
    ways::WAYS,
};

pub fn of(report: &Report) -> String {
    let mut text = String::new();
    for case in CASES {
        let cells: Vec<_> = report.cells.iter().filter(|cell| cell.case == case.id).collect();
        if !cells.is_empty() {
            text += &of_case(report, case, &cells);
        }
    }
    for (way, reason) in &report.not_run {
        let _ = writeln!(text, "not run: {way}: {reason}");
    }
    text + &of_goals(&report.goals)
}

fn of_case(report: &Report, case: &Case, cells: &[&Cell]) -> String {
    let mut text = format!("{}\n{}\n", case.title, "=".repeat(case.title.len()));
    let _ = writeln!(
        text,
        "{:>5}  {:<27}{:>9}  {:<17}{:>8}{:>10}{:>9}{:>18}",
        "feeds", "way", "frames/s", "(least to most)", "ceiling", "CPU s/1k", "peak MB", "p50 / p99 ms"
    );
    for &feeds in case.feeds {
        for way in WAYS.iter().filter(|way| way.joins(case)) {
            let row = match cells.iter().find(|cell| cell.feeds == feeds && cell.way == way.id) {
                Some(cell) => of_cell(cell),
                None if report.not_run.contains_key(way.id) => "  not run".into(),
                None => continue,
            };
            let _ = writeln!(text, "{feeds:>5}  {:<27}{row}", way.title);
        }
    }
    text + "\n"
}

fn of_cell(cell: &Cell) -> String {
    let Some(rate) = cell.rate else {
        return format!("  failed: {}", cell.failure.as_deref().unwrap_or("for no reason that it told"));
    };
    let latency = cell.p50_ms.zip(cell.p99_ms).map(|(p50, p99)| format!("{:.1} / {:.1}", p50.median, p99.median));
    format!(
        "{:>9.0}  {:<17}{:>8}{:>10}{:>9}{:>18}",
        rate.median,
        format!("({:.0} to {:.0})", rate.least, rate.most),
        number(cell.of_ceiling, 2),
        number(cell.cpu_per_thousand, 2),
        number(cell.peak_mb, 0),
        latency.unwrap_or_default()
    )
}

fn number(spread: Option<Spread>, digits: usize) -> String {
    spread.map(|spread| format!("{:.digits$}", spread.median)).unwrap_or_default()
}

fn of_goals(goals: &[Goal]) -> String {
    let mut text = String::from("\nGoals\n=====\n");
    for goal in goals {
        let (Some(value), Some(passed)) = (goal.value, goal.passed) else { continue };
        let value = format!("{:.2} ({:.2} to {:.2})", value.median, value.least, value.most);
        let verdict = if passed { "pass" } else { "MISS" };
        let _ = writeln!(text, "{:<66}{:<13}{value:<32}{verdict}", goal.title, goal.wanted);
    }
    let unknown: Vec<_> = goals.iter().filter(|goal| goal.passed.is_none()).map(|goal| &*goal.title).collect();
    if !unknown.is_empty() {
        let _ = writeln!(text, "\nnot measured: {}", unknown.join("; "));
    }
    text
}
