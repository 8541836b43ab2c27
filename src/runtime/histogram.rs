//! Latencies by the thousand in a fixed few hundred bytes.

use std::fmt;

/// Buckets for each doubling: a quantile is right to within 1/8 of its value.
const STEPS: u32 = 4;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Up to 2^40 ns (18 minutes); what is longer counts as that.
const DOUBLINGS: u32 = 40;
const BUCKETS: usize = (DOUBLINGS * STEPS) as usize;

/// A histogram of durations in nanoseconds with logarithmic buckets.
#[derive(Clone)]
pub struct Histogram {
    buckets: Box<[u32; BUCKETS]>,
    count: u64,
    sum: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), count: 0, sum: 0 }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let quantiles = [0.5, 0.95, 0.99].map(|quantile| self.quantile(quantile));
        write!(formatter, "{} of {quantiles:?} ns", self.count)
    }
}

impl Histogram {
    pub fn record(&mut self, nanoseconds: u64) {
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(nanoseconds);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The value below which the share `quantile` (0 to 1) of all records lies; 0 without records.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = (self.count as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank.max(1) {
                return middle(index);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let value = value.clamp(u64::from(STEPS), (1 << DOUBLINGS) - 1);
    let doubling = 63 - value.leading_zeros();
    let step = (value >> (doubling - STEP_BITS)) as u32 - STEPS;
    ((doubling * STEPS) + step) as usize
}

fn middle(bucket: usize) -> u64 {
    let (doubling, step) = (bucket as u32 / STEPS, bucket as u32 % STEPS);
    if doubling < STEP_BITS {
        return 0;
    }
    let width = 1u64 << (doubling - STEP_BITS);
    u64::from(STEPS + step) * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_an_eighth() {
        let mut histogram = Histogram::default();
        for value in 1..=1000u64 {
            histogram.record(value * 1000);
        }
        assert_eq!((histogram.count(), histogram.sum()), (1000, 500_500_000));
        for (quantile, exact) in [(0.5, 500_000.0), (0.95, 950_000.0), (0.99, 990_000.0)] {
            let got = histogram.quantile(quantile) as f64;
            assert!((got - exact).abs() <= exact / 8.0, "{quantile}: {got}");
        }
    }

    #[test]
    fn empty_zero_and_endless() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), 0);
        histogram.record(0);
        assert!(histogram.quantile(0.5) <= 8);
        histogram.record(u64::MAX);
        assert!(histogram.quantile(1.0) > 1 << (DOUBLINGS - 1));
    }
}
