//! What can be set from outside: `make bench ROUNDS=1 ONLY=ceiling,nvfeed CASES=small`.

use std::{env, str::FromStr};

pub struct Options {
    /// How often everything is measured. The middle one is told.
    pub rounds: usize,
    /// Seconds of one measurement.
    pub window: f64,
    /// Ways and cases by name; empty: all.
    only: Vec<String>,
    cases: Vec<String>,
}

impl Options {
    pub fn from_environment() -> Self {
        Self { rounds: number("ROUNDS", 3), window: number("WINDOW", 1.5), only: list("ONLY"), cases: list("CASES") }
    }

    pub fn takes_way(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| id == name)
    }

    pub fn takes_case(&self, id: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|name| id == name)
    }
}

fn number<T: FromStr>(name: &str, default: T) -> T {
    let Ok(text) = env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{name}={text}: a number is needed"))
}

fn list(name: &str) -> Vec<String> {
    env::var(name).unwrap_or_default().split([',', ' ']).filter(|part| !part.is_empty()).map(Into::into).collect()
}
