//! What a processor's owner left open (how many instances, threads and frames a batch) is chosen by measuring, once: the
//! choice is kept for the next start.

mod cache;
mod candidates;
mod pictures;
mod search;
mod trial;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::{
    cache::{Cache, Key},
    candidates::Candidates,
    trial::Workbench,
};
#[cfg(any(test, fuzzing))]
pub use cache::settings_cache;

use super::{CAT, Error, ProcessorConfig};
use crate::inference::{Model, Session};

/// Share of `startup-timeout` that measuring may take.
const SHARE_OF_STARTUP: u32 = 6;

/// How a processor runs its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Setting {
    pub instances: usize,
    /// Inside one instance's run.
    pub intra_op_threads: usize,
    /// Most frames of a run.
    pub max_batch_size: usize,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Nothing was left open, or there is only one way.
    Given,
    /// Measured at an earlier start.
    Cache,
    Measured(Duration),
}

impl Source {
    /// As events and `stats` tell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Cache => "cache",
            Self::Measured(_) => "measured",
        }
    }

    /// How long measuring took.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Measured(time) => Some(time),
            Self::Given | Self::Cache => None,
        }
    }
}

/// A setting, and its sessions.
pub struct Choice {
    pub setting: Setting,
    pub source: Source,
    pub sessions: Vec<Session>,
}

/// Decides what `config` leaves open, and starts the sessions. They have run before. `go_on` is asked now and then
/// whether anybody still waits.
pub fn choose(config: &ProcessorConfig, model: &Model, go_on: &dyn Fn() -> Result<(), Error>) -> Result<Choice, Error> {
    let candidates = Candidates::new(config, model);
    let budget = Duration::from_nanos(config.startup_timeout) / SHARE_OF_STARTUP;
    let mut bench = Workbench::new(config, model, budget, go_on);
    let (setting, source) = decide(
        &candidates,
        &Cache::of_user(),
        || Key::new(config, model, &candidates),
        |settings| {
            gst::info!(
                CAT,
                "processor '{}': measuring which of {} settings of instances, intra-op-threads and max-batch-size is the \
             fastest, for at most {:.1} s; the choice is kept for the next start",
                config.id,
                settings.len(),
                budget.as_secs_f64()
            );
            let begun = Instant::now();
            let fastest = search::fastest(settings, &mut bench)?;
            Ok(Measured { fastest, time: begun.elapsed(), is_sure: !bench.was_disturbed() })
        },
    )?;
    gst::info!(CAT, "processor '{}': {setting:?} ({})", config.id, source.as_str());
    let sessions = bench.into_sessions(setting)?;
    Ok(Choice { setting, source, sessions })
}

/// What measuring told.
struct Measured {
    fastest: Setting,
    time: Duration,
    /// The machine did nothing else meanwhile.
    is_sure: bool,
}

/// The only candidate, or what was kept, or what `measure` finds.
fn decide(
    candidates: &Candidates,
    cache: &Cache,
    key: impl FnOnce() -> Result<Key, String>,
    measure: impl FnOnce(&[Setting]) -> Result<Measured, Error>,
) -> Result<(Setting, Source), Error> {
    let settings = candidates.settings();
    if let [only] = settings[..] {
        return Ok((candidates.finish(only), Source::Given));
    }
    // A model whose files cannot be read again is measured each time.
    let key = if cache.is_on() { key().inspect_err(|reason| gst::debug!(CAT, "{reason}")).ok() } else { None };
    let kept = key.as_ref().and_then(|key| cache.read(key));
    if let Some(kept) = kept.filter(|kept| settings.contains(kept)) {
        return Ok((candidates.finish(kept), Source::Cache));
    }
    let Measured { fastest, time, is_sure } = measure(&settings)?;
    match &key {
        Some(key) if is_sure || cache.keeps_all => cache.write(key, fastest),
        Some(_) => {
            gst::info!(CAT, "others had the cores meanwhile: the choice is not kept, the next start measures again")
        }
        None => {}
    }
    Ok((candidates.finish(fastest), Source::Measured(time)))
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, fs, path::Path};

    use super::*;
    use crate::inference::{BatchDim, ExecutionProvider};

    fn start(folder: &Path, key: &Key, fastest: Setting) -> (Setting, Source, usize) {
        start_on(folder, key, fastest, true)
    }

    fn start_on(folder: &Path, key: &Key, fastest: Setting, is_sure: bool) -> (Setting, Source, usize) {
        let candidates = Candidates::open(4, ExecutionProvider::Cpu, BatchDim::Dynamic);
        let measured = Cell::new(0);
        let measure = |_: &[Setting]| {
            measured.set(measured.get() + 1);
            Ok(Measured { fastest, time: Duration::from_secs(1), is_sure })
        };
        let (setting, source) = decide(&candidates, &Cache::at(folder.into()), || Ok(key.clone()), measure).unwrap();
        (setting, source, measured.get())
    }

    const A: Setting = Setting { instances: 4, intra_op_threads: 1, max_batch_size: 8 };
    const B: Setting = Setting { instances: 2, intra_op_threads: 2, max_batch_size: 4 };

    #[test]
    fn a_second_start_measures_nothing_and_another_model_measures_again() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of_model("one");
        assert_eq!(start(folder.path(), &key, A), (A, Source::Measured(Duration::from_secs(1)), 1));
        assert_eq!(start(folder.path(), &key, B), (A, Source::Cache, 0));
        assert_eq!(start(folder.path(), &Key::of_model("another"), B).2, 1);
    }

    #[test]
    fn what_was_measured_beside_others_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of_model("one");
        let measured = Source::Measured(Duration::from_secs(1));
        assert_eq!(start_on(folder.path(), &key, A, false), (A, measured, 1));
        assert_eq!(start_on(folder.path(), &key, B, true), (B, measured, 1));
        assert_eq!(start_on(folder.path(), &key, A, false), (B, Source::Cache, 0));
    }

    #[test]
    fn what_is_kept_and_broken_or_absurd_is_measured_again_and_repaired() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::of_model("one");
        start(folder.path(), &key, A);
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let good = fs::read_to_string(&file).unwrap();
        let absurd = good.replace("\"instances\":4", "\"instances\":4000000000");
        assert_ne!(good, absurd);
        for broken in ["", "{}", "no json", &good[..good.len() / 2], &absurd, &"[".repeat(1 << 20)] {
            fs::write(&file, broken).unwrap();
            assert_eq!(start(folder.path(), &key, A).2, 1, "{broken:.40}");
            assert_eq!(start(folder.path(), &key, B), (A, Source::Cache, 0), "it was written anew");
        }
    }

    #[test]
    fn one_way_is_not_measured() {
        let candidates = Candidates::open(1, ExecutionProvider::Cpu, BatchDim::Fixed(4));
        let never = |_: &[Setting]| panic!("nothing to measure");
        let only = Setting { instances: 1, intra_op_threads: 1, max_batch_size: 4 };
        let key = || panic!("nothing to look for");
        assert_eq!(decide(&candidates, &Cache::off(), key, never).unwrap(), (only, Source::Given));
    }

    #[test]
    fn without_a_key_or_a_cache_each_start_measures() {
        let candidates = Candidates::open(4, ExecutionProvider::Cpu, BatchDim::Dynamic);
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let measure = |_: &[Setting]| Ok(Measured { fastest: A, time: Duration::ZERO, is_sure: true });
            let unreadable = || Err("the model is gone".into());
            let (_, source) = decide(&candidates, &Cache::at(folder.path().into()), unreadable, measure).unwrap();
            assert_eq!(source, Source::Measured(Duration::ZERO));
            let (_, source) = decide(&candidates, &Cache::off(), || Ok(Key::of_model("one")), measure).unwrap();
            assert_eq!(source, Source::Measured(Duration::ZERO));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
