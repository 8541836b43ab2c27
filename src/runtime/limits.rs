//! What a processor is to be like: what its owner asks for, and what that comes to.

use super::{
    clock::Time,
    origin::Origin,
    tuning::{Setting, Source},
};
use crate::inference::{BatchDim, ModelConfig};

/// What its owner asks of a processor. Zero means automatic where a field says so.
#[derive(Debug, Clone, Default)]
pub struct ProcessorConfig {
    pub id: String,
    pub model: ModelConfig,
    /// 0: automatic.
    pub instances: usize,
    /// 0: automatic.
    pub max_batch_size: usize,
    pub max_latency: Time,
    /// 0: automatic.
    pub queue_capacity: usize,
    pub response_timeout: Time,
    pub startup_timeout: Time,
    pub batch_join_timeout: Time,
    /// The pipeline that the owner's element is in.
    pub origin: Origin,
}

/// A stream that is woken because there is room takes the core from an instance for a moment. Of MobileNetV3-small with
/// batches of 2, 16 streams that bring two frames then and not one pass 1 to 2 % more on two cores; four gain no more.
const FRAMES_WORTH_WAKING: usize = 2;

/// The config with everything automatic decided.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub instances: usize,
    /// Inside one instance's run.
    pub intra_op_threads: usize,
    pub max_batch: usize,
    /// Frames that a batch's memory has room for: more than `max_batch` for a fixed batch only.
    pub batch_room: usize,
    pub max_latency: Time,
    pub queue_capacity: usize,
    /// Frames of a feed that waits for room which may wait whatever its share of the queue is.
    pub least_share: usize,
    pub response_timeout: Time,
    pub batch_join_timeout: Time,
    /// Where the numbers of instances, threads and frames come from.
    pub source: Source,
}

impl Limits {
    /// That run the model, all instances together.
    pub fn threads(&self) -> usize {
        self.instances.saturating_mul(self.intra_op_threads.max(1))
    }

    /// Decides what the config leaves open beside the measured `setting`.
    pub(super) fn new(config: &ProcessorConfig, batch: BatchDim, setting: Setting, source: Source) -> Self {
        let Setting { instances, intra_op_threads, max_batch_size: max_batch } = setting;
        let (max_batch, batch_room) = match batch {
            BatchDim::Dynamic => (max_batch, max_batch),
            BatchDim::Fixed(frames) => (max_batch.min(frames), frames),
        };
        let (queue_capacity, least_share) = match config.queue_capacity {
            0 => (max_batch.saturating_mul(instances).saturating_mul(4), FRAMES_WORTH_WAKING),
            set => (set, 1),
        };
        Self {
            instances,
            intra_op_threads,
            max_batch,
            batch_room,
            max_latency: config.max_latency,
            queue_capacity,
            least_share,
            response_timeout: config.response_timeout,
            batch_join_timeout: config.batch_join_timeout,
            source,
        }
    }
}
