//! Which settings are worth a trial.

use std::thread;

use super::Setting;
use crate::{
    inference::{BatchDim, ExecutionProvider, Model},
    runtime::limits::ProcessorConfig,
};

/// On a CPU larger batches gain nothing any more, and cost latency.
const CPU_BATCHES: [usize; 5] = [1, 2, 4, 8, 16];
const DEVICE_BATCHES: [usize; 6] = [1, 2, 4, 8, 16, 32];
/// Where nothing can be measured.
const DEVICE_BATCH: usize = 16;
/// A batch that is set by hand is set, but how many instances run it is measured with one of at most so many frames.
const TRIAL_BATCH: usize = 16;

/// What is set by hand, and what can be chosen of the rest.
#[derive(Debug)]
pub struct Candidates {
    /// Instances and the threads of each, the most likely first.
    ways: Vec<(usize, usize)>,
    batches: Vec<usize>,
    /// The model runs batches of one size.
    is_fixed: bool,
    /// May be another one than what is tried.
    set_batch: Option<usize>,
}

impl Candidates {
    pub fn new(config: &ProcessorConfig, model: &Model) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let set = |value: usize| (value > 0).then_some(value);
        let mut candidates = Self::open(cores, model.provider(), model.description().input.batch);
        candidates.fix(cores, set(config.instances), set(config.model.intra_op_threads), set(config.max_batch_size));
        candidates
    }

    /// With nothing set by hand.
    pub fn open(cores: usize, provider: ExecutionProvider, batch: BatchDim) -> Self {
        use ExecutionProvider::*;
        let (ways, batches) = match provider {
            Auto | Cpu | Xnnpack | Onednn => (ways_of(cores), CPU_BATCHES.to_vec()),
            // A second one copies while the first one computes.
            Cuda | Rocm => (vec![(1, 1), (2, 1)], DEVICE_BATCHES.to_vec()),
            // These build the model anew for each shape that they see, which takes far too long to try several.
            Tensorrt | Openvino | Migraphx | Qnn => (vec![(1, 1)], vec![DEVICE_BATCH]),
        };
        let (batches, is_fixed) = match batch {
            BatchDim::Dynamic => (batches, false),
            BatchDim::Fixed(frames) => (vec![frames], true),
        };
        Self { ways, batches, is_fixed, set_batch: None }
    }

    fn fix(&mut self, cores: usize, instances: Option<usize>, threads: Option<usize>, batch: Option<usize>) {
        let measured = self.ways.len() > 1;
        match (instances, threads) {
            (None, None) => {}
            (Some(instances), Some(threads)) => self.ways = vec![(instances, threads)],
            // So many instances leave room for one thread each, or they share the cores.
            (Some(instances), None) => {
                let shared = if measured { (cores / instances).max(1) } else { 1 };
                self.ways = powers_of_two(shared).map(|threads| (instances, threads)).collect();
            }
            (None, Some(threads)) if measured => {
                let most = (cores / threads).max(1);
                self.ways = vec![(most, threads)];
                if most > 1 {
                    self.ways.push((most / 2, threads));
                }
            }
            (None, Some(threads)) => self.ways = vec![(1, threads)],
        }
        self.set_batch = batch;
        if let Some(batch) = batch.filter(|_| !self.is_fixed) {
            self.batches = vec![batch.min(TRIAL_BATCH)];
        }
    }

    /// Each way with each batch; those of one way side by side, smaller batches first.
    pub fn settings(&self) -> Vec<Setting> {
        let of_way = |&(instances, intra_op_threads): &(usize, usize)| {
            self.batches.iter().map(move |&max_batch_size| Setting { instances, intra_op_threads, max_batch_size })
        };
        self.ways.iter().flat_map(of_way).collect()
    }

    /// The setting as it is used after it was tried.
    pub fn finish(&self, tried: Setting) -> Setting {
        Setting { max_batch_size: self.set_batch.unwrap_or(tried.max_batch_size), ..tried }
    }
}

/// All cores, by more and more threads of fewer and fewer instances, and half of the cores with one thread each: where
/// two cores are one core's two threads, or memory is what limits, more are no faster.
fn ways_of(cores: usize) -> Vec<(usize, usize)> {
    let mut ways = vec![(cores, 1)];
    if cores > 2 {
        ways.push((cores - 1, 1));
    }
    if cores > 3 {
        ways.push((cores / 2, 1));
    }
    ways.extend(powers_of_two(cores).skip(1).map(|threads| (cores / threads, threads)));
    ways
}

/// 1, 2, 4, ... up to `most`, and `most` itself.
fn powers_of_two(most: usize) -> impl Iterator<Item = usize> {
    let powers = std::iter::successors(Some(1usize), |power| power.checked_mul(2));
    powers.take_while(move |&power| power < most).chain([most])
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORES: usize = 4;

    fn fixed(batch: BatchDim, set: [Option<usize>; 3]) -> Candidates {
        let mut candidates = Candidates::open(CORES, ExecutionProvider::Cpu, batch);
        let [instances, threads, max_batch] = set;
        candidates.fix(CORES, instances, threads, max_batch);
        candidates
    }

    #[test]
    fn all_cores_are_used_in_every_way() {
        let candidates = fixed(BatchDim::Dynamic, [None; 3]);
        assert_eq!(candidates.ways, [(4, 1), (3, 1), (2, 1), (2, 2), (1, 4)]);
        assert_eq!(candidates.settings().len(), 5 * CPU_BATCHES.len());
        assert_eq!(Candidates::open(1, ExecutionProvider::Cpu, BatchDim::Dynamic).ways, [(1, 1)]);
        assert_eq!(
            Candidates::open(6, ExecutionProvider::Cpu, BatchDim::Dynamic).ways,
            [(6, 1), (5, 1), (3, 1), (3, 2), (1, 4), (1, 6)]
        );
    }

    #[test]
    fn what_is_set_by_hand_stays() {
        assert_eq!(fixed(BatchDim::Dynamic, [Some(1), None, None]).ways, [(1, 1), (1, 2), (1, 4)]);
        assert_eq!(fixed(BatchDim::Dynamic, [Some(9), None, None]).ways, [(9, 1)]);
        assert_eq!(fixed(BatchDim::Dynamic, [None, Some(2), None]).ways, [(2, 2), (1, 2)]);
        assert_eq!(fixed(BatchDim::Dynamic, [None, Some(8), None]).ways, [(1, 8)]);
        let all = fixed(BatchDim::Dynamic, [Some(2), Some(2), Some(5)]);
        assert_eq!(all.settings(), [Setting { instances: 2, intra_op_threads: 2, max_batch_size: 5 }]);
    }

    #[test]
    fn a_large_batch_set_by_hand_is_used_and_not_tried() {
        let candidates = fixed(BatchDim::Dynamic, [None, None, Some(64)]);
        let tried = candidates.settings();
        assert!(tried.iter().all(|setting| setting.max_batch_size == TRIAL_BATCH), "{tried:?}");
        assert_eq!(candidates.finish(tried[0]).max_batch_size, 64);
    }

    #[test]
    fn a_model_runs_its_own_batch() {
        assert_eq!(fixed(BatchDim::Fixed(6), [None; 3]).batches, [6]);
        let fewer = fixed(BatchDim::Fixed(6), [None, None, Some(2)]);
        assert_eq!(fewer.batches, [6]);
        assert_eq!(fewer.finish(fewer.settings()[0]).max_batch_size, 2);
    }

    #[test]
    fn what_builds_for_each_shape_is_not_tried() {
        let mut candidates = Candidates::open(CORES, ExecutionProvider::Tensorrt, BatchDim::Dynamic);
        assert_eq!(candidates.settings().len(), 1);
        candidates.fix(CORES, Some(2), None, Some(8));
        assert_eq!(candidates.settings(), [Setting { instances: 2, intra_op_threads: 1, max_batch_size: 8 }]);
    }
}
