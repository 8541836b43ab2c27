//! A week of faults in a short time: feeds come and go, and something goes wrong four times a second, at random from a
//! seed. All along no frame may disappear, and nothing may grow: memory, descriptors, threads.
//!
//! The seed decides what happens, in which order, to whom. How far the frames are by then is up to the machine.

mod bystanders;
mod faults;
mod ledger;
mod line;
mod managed;
pub mod resources;
mod stream;
mod watchdog;

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{Fallible, setting};
use faults::Field;
use ledger::Ledger;
use resources::Resources;
use watchdog::Watchdog;

/// Something happens this often.
const BEAT: Duration = Duration::from_millis(250);
/// All figures of all feeds are looked at this often.
const LOOK: Duration = Duration::from_millis(50);
const SAMPLE: Duration = Duration::from_secs(1);
const TELL: Duration = Duration::from_secs(10);

pub fn run() -> Fallible<bool> {
    let length = Duration::from_secs_f64(60.0 * setting("MINUTES", 1.0)?);
    let seed = setting("SEED", fastrand::u32(..) as u64)?;
    println!("soak: {:.1} minutes, SEED={seed}", length.as_secs_f64() / 60.0);

    let watchdog = Watchdog::start();
    let before = resources::Sample::now();
    let mut field = Field::new(seed)?;
    let mut ledger = Ledger::default();
    let mut resources = Resources::default();
    let begun = Instant::now();
    let (mut beat, mut sample, mut tell) = (begun, begun, begun + TELL);
    while begun.elapsed() < length {
        let now = Instant::now();
        if now >= beat {
            field.beat(&watchdog)?;
            beat = (beat + BEAT).max(now);
        }
        watchdog.does("looks at all figures");
        ledger.look();
        field.listen(&mut ledger);
        if now >= sample {
            resources.add(begun.elapsed());
            sample += SAMPLE;
        }
        if now >= tell {
            println!("{:5} s  {}  {ledger}  {}", begun.elapsed().as_secs(), resources.last(), field.summary());
            tell += TELL;
        }
        thread::sleep(LOOK);
    }

    watchdog.does("ends everything");
    let bystanders = field.end(&mut ledger);
    ledger.close();
    println!("\nSEED={seed}, {:.1} minutes", begun.elapsed().as_secs_f64() / 60.0);
    field.tell();
    ledger.tell();
    println!("{bystanders}");
    drop(field);
    watchdog.does("waits for threads and descriptors to be given back");
    let left = resources::what_is_left(&before);
    println!("left at the end: {left}");
    println!("slowest deed: {}", watchdog.slowest());
    let steady = resources.judge(length);
    let good = steady && left.is_nothing() && ledger.is_clean() && bystanders.kept_up();
    println!("soak: {}", if good { "HELD" } else { "FAILED" });
    Ok(good)
}
