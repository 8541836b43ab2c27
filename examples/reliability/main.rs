//! How the plugin bears faults, load and time: the programs behind `docs/reliability.md`. `make soak`, `make isolation`
//! and so on run them; each says at its end what held and what did not, and exits with 1 where something did not.

mod cameras;
mod cycles;
mod isolation;
mod overload;
mod processor;
mod soak;

use std::process::ExitCode;

/// What goes wrong in the programs themselves, told to whoever runs them.
type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const USAGE: &str = "usage: reliability soak | isolation | overload | cycles, with settings in the environment:
  soak       MINUTES=1 SEED=random
  isolation  SECONDS=10 ROUNDS=3 ONLY=part-of-a-name
  overload   SECONDS=20
  cycles     CYCLES=2000 SEED=random";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("reliability: error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything held.
fn run() -> Fallible<bool> {
    let program = std::env::args().nth(1).ok_or(USAGE)?;
    gst::init()?;
    gstnextvision::plugin_register_static()?;
    match program.as_str() {
        "soak" => soak::run(),
        "isolation" => isolation::run(),
        "overload" => overload::run(),
        "cycles" => cycles::run(),
        _ => Err(USAGE.into()),
    }
}

/// A number from the environment.
fn setting<T: std::str::FromStr>(name: &str, default: T) -> Fallible<T> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => {
            text.parse().map_err(|_| format!("{name} is {text}: set it to a number").into())
        }
        _ => Ok(default),
    }
}
