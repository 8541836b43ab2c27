//! A straight line through measured values, and how far its slope can be trusted.

/// In units of the value for each unit of time.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub slope: f64,
    /// Two standard errors: the slope is within it with 95 % confidence.
    pub uncertainty: f64,
}

/// Least squares over (time, value). Neighbouring values are alike, so each counts as less than one of its own: by
/// (1-r)/(1+r), where r is the correlation of the residuals with the ones before. `None` for fewer than three.
pub fn fit(points: &[(f64, f64)]) -> Option<Line> {
    let count = points.len() as f64;
    if points.len() < 3 {
        return None;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (time, value) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - time).powi(2)).sum();
    let slope = points.iter().map(|point| (point.0 - time) * (point.1 - value)).sum::<f64>() / spread;
    let residuals: Vec<f64> = points.iter().map(|point| point.1 - value - slope * (point.0 - time)).collect();
    let squares: f64 = residuals.iter().map(|residual| residual.powi(2)).sum();
    let neighbours: f64 = residuals.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let alike = if squares > 0.0 { (neighbours / squares).clamp(0.0, 0.99) } else { 0.0 };
    let independent = (count * (1.0 - alike) / (1.0 + alike) - 2.0).max(1.0);
    let deviation = (squares / independent).sqrt();
    Some(Line { slope, uncertainty: 2.0 * deviation / spread.sqrt() })
}
