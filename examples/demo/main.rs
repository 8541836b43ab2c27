//! Several videos in one process, one neural network: what `make demo` shows.
//!
//! Each clip of `tests/clips` is a pipeline of its own and plays at its own speed, as a camera would. All of them hand
//! their frames to one processor, which runs the model over batches of whatever frames are there. What it finds goes to
//! `target/demo`: every result as a line of JSON, and of each clip a picture with the boxes drawn.

mod feed;
mod picture;
mod table;

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

use gst::prelude::*;

use feed::Feed;
use table::Table;

const MODEL: &str = "models/shapes.onnx";
const CLIPS: &str = "tests/clips";
const OUTPUT: &str = "target/demo";
const RESULTS: &str = "target/demo/results.jsonl";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    env::set_current_dir(env!("CARGO_MANIFEST_DIR"))?;
    gst::init()?;
    gstnextvision::plugin_register_static()?;
    fs::create_dir_all(OUTPUT)?;

    // All pipelines speak on one bus, so that there is one place to listen at.
    let bus = gst::Bus::new();

    println!("Loading {MODEL}");
    let processor = Running(gst::parse::launch(&processor_description())?);
    processor.0.set_bus(Some(&bus));
    // The model is loaded when this returns.
    set_state(&processor.0, gst::State::Playing, &bus)?;

    let clips = clips()?;
    println!("Playing {} videos in real time, each in a pipeline of its own, through this one model\n", clips.len());
    let mut feeds = clips.iter().map(|clip| Feed::new(clip, &bus)).collect::<Result<Vec<_>, _>>()?;
    // Every feed empties the file of results when it opens it: all of them do so before the first writes.
    for feed in &feeds {
        set_state(&feed.pipeline.0, gst::State::Paused, &bus)?;
    }
    for feed in &mut feeds {
        feed.prepare_picture();
        set_state(&feed.pipeline.0, gst::State::Playing, &bus)?;
        feed.begin();
    }
    watch(&feeds, &bus)?;

    tell_of_batches(&processor.0);
    println!("\nResults, one JSON object a line:\n  {RESULTS}");
    println!("A frame of each video with what was found in it:");
    for feed in &feeds {
        let path = format!("{OUTPUT}/{}.png", feed.name);
        fs::write(&path, feed.picture()?)?;
        println!("  {path}");
    }
    println!("\nThe same without a line of code:\n{}", launch_line(&clips));
    Ok(())
}

/// Shows how the feeds do until the last of them ends.
fn watch(feeds: &[Feed], bus: &gst::Bus) -> Result<(), Box<dyn Error>> {
    let mut table = Table::new();
    let mut playing = feeds.len();
    while playing > 0 {
        match bus.timed_pop_filtered(table.period(), &[gst::MessageType::Eos, gst::MessageType::Error]) {
            Some(message) if message.type_() == gst::MessageType::Error => return Err(explain(&message).into()),
            Some(message) => {
                feeds.iter().filter(|feed| message.src() == Some(feed.pipeline.0.upcast_ref())).for_each(Feed::end);
                playing -= 1;
            }
            None => {}
        }
        if playing == 0 || table.is_due() {
            table.show(feeds);
        }
    }
    Ok(())
}

/// The clips, by name.
fn clips() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let files = fs::read_dir(CLIPS)?.map(|file| Ok(file?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    let mut clips: Vec<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "mp4")).collect();
    clips.sort();
    if clips.is_empty() {
        return Err(format!("there is no clip (*.mp4) in {CLIPS}").into());
    }
    Ok(clips)
}

/// As many frames at a time as there are clips: left open, it may be found that this machine does best with single ones.
fn processor_description() -> String {
    format!("nvbatch processor-id=shapes model={MODEL} max-batch-size=4")
}

fn launch_line(clips: &[PathBuf]) -> String {
    let chains: String = clips.iter().map(|clip| format!(" \\\n      {}", feed::description(clip))).collect();
    format!("  export GST_PLUGIN_PATH=$PWD/target/plugin\n  gst-launch-1.0 {}{chains}", processor_description())
}

/// How well the frames of different videos came together.
fn tell_of_batches(processor: &gst::Element) {
    let stats = processor.property::<gst::Structure>("stats");
    let count = |name| stats.get::<u64>(name).unwrap_or_default();
    let (results, batches) = (count("results"), count("batches"));
    println!(
        "\n{results} frames went through the model in {batches} batches, {:.1} frames each on average; {} instances of it ran, with up to {} frames at a time.",
        results as f64 / batches.max(1) as f64,
        count("instances"),
        count("max-batch-size"),
    );
}

/// An element, or a whole pipeline, that is stopped when it is dropped.
struct Running(gst::Element);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing is left to be told to.
        _ = self.0.set_state(gst::State::Null);
    }
}

/// Returns when the state is reached.
fn set_state(element: &gst::Element, state: gst::State, bus: &gst::Bus) -> Result<(), Box<dyn Error>> {
    let changed = element.set_state(state).and_then(|_| element.state(None).0);
    match changed {
        Ok(_) => Ok(()),
        Err(error) => match bus.pop_filtered(&[gst::MessageType::Error]) {
            Some(message) => Err(explain(&message).into()),
            None => Err(error.into()),
        },
    }
}

/// An error message in words, with the code that programs go by.
fn explain(message: &gst::Message) -> String {
    let gst::MessageView::Error(error) = message.view() else { return String::from("not an error") };
    let source = message.src().map(|source| source.path_string()).unwrap_or_default();
    let code = error.details().and_then(|details| details.get::<String>("code").ok());
    let code = code.map(|code| format!(" [{code}]")).unwrap_or_default();
    format!("{}{code}\n  from {source}", error.error())
}
