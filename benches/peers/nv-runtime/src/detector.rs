//! The model: one session with the library's own number of threads, for the crate calls a processor from one thread.

use std::error::Error;

use nv_core::error::StageError;
use nv_core::id::StageId;
use nv_perception::{
    StageOutput,
    batch::{BatchEntry, BatchProcessor},
};
use ort::{session::Session, value::TensorRef};

const ID: StageId = StageId("detector");

pub struct Detector {
    session: Session,
    side: usize,
    /// Frames as the model takes them: planes of floats, 0 to 1.
    input: Vec<f32>,
}

impl Detector {
    pub fn new(model: &str, side: usize) -> Result<Self, Box<dyn Error>> {
        let environment = ort::init().build()?;
        Ok(Self { session: Session::builder(&environment)?.commit_from_file(model)?, side, input: Vec::new() })
    }

    fn run(&mut self, items: &mut [BatchEntry]) -> Result<(), Box<dyn Error>> {
        let plane = self.side * self.side;
        self.input.resize(items.len() * 3 * plane, 0.0);
        for (item, floats) in items.iter().zip(self.input.chunks_exact_mut(3 * plane)) {
            let pixels = item.frame.host_data().ok_or("the frame is not in memory")?;
            let (red, rest) = floats.split_at_mut(plane);
            let (green, blue) = rest.split_at_mut(plane);
            let row_bytes = item.frame.stride() as usize;
            for (y, row) in pixels.chunks(row_bytes).take(self.side).enumerate() {
                let at = y * self.side;
                let planes = red[at..].iter_mut().zip(&mut green[at..]).zip(&mut blue[at..]);
                for (pixel, ((r, g), b)) in row.as_chunks::<3>().0.iter().take(self.side).zip(planes) {
                    (*r, *g, *b) = (pixel[0] as f32 / 255.0, pixel[1] as f32 / 255.0, pixel[2] as f32 / 255.0);
                }
            }
        }
        let input = TensorRef::from_array_view(([items.len(), 3, self.side, self.side], &*self.input))?;
        self.session.run(ort::inputs![input])?;
        for item in items {
            item.output = Some(StageOutput::empty());
        }
        Ok(())
    }
}

impl BatchProcessor for Detector {
    fn id(&self) -> StageId {
        ID
    }

    fn process(&mut self, items: &mut [BatchEntry]) -> Result<(), StageError> {
        self.run(items).map_err(|reason| StageError::ProcessingFailed { stage_id: ID, detail: reason.to_string() })
    }
}
