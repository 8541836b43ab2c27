//! The picture: throughput and latency over the number of feeds, one line a way.

use std::path::Path;

use plotters::{coord::Shift, prelude::*};

use crate::{
    report::{Cell, Report, Spread},
    ways::{WAYS, Way},
};

const SIZE: (u32, u32) = (1100, 460);
const FONT: &str = "sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

pub fn draw(report: &Report, file: &Path) {
    // The figures are told and written already: they are not lost for a picture.
    if let Err(error) = try_to_draw(report, file) {
        eprintln!("{} is not drawn: {error}", file.display());
    }
}

fn try_to_draw(report: &Report, file: &Path) -> Drawn {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (left, right) = area.split_horizontally(SIZE.0 / 2);
    let rates = Panel { case: "small", title: "frames/s, MobileNetV3-small at 224x224", figure: |cell| cell.rate };
    rates.draw(report, &left)?;
    let delays = Panel { case: "live", title: "p99 ms, live feeds at 30 frames/s", figure: |cell| cell.p99_ms };
    delays.draw(report, &right)?;
    area.present()?;
    Ok(())
}

struct Panel {
    case: &'static str,
    title: &'static str,
    figure: fn(&Cell) -> Option<Spread>,
}

impl Panel {
    fn draw(&self, report: &Report, area: &Area) -> Drawn {
        let lines: Vec<_> = WAYS.iter().map(|way| (way, self.points(report, way))).collect();
        let all = || lines.iter().flat_map(|(_, points)| points);
        let feeds = all().map(|&(feeds, _)| feeds).max().unwrap_or(1);
        let highest = all().map(|(_, spread)| spread.most).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FONT, 17))
            .margin(14)
            .x_label_area_size(34)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..feeds as f64 + 0.5, 0.0..highest * 1.45)?;
        chart.configure_mesh().light_line_style(TRANSPARENT).x_desc("feeds").label_style((FONT, 13)).draw()?;
        for (number, (way, points)) in lines.iter().enumerate().filter(|(_, (_, points))| !points.is_empty()) {
            let color = Palette99::pick(number).to_rgba();
            let line = points.iter().map(|&(feeds, spread)| (feeds as f64, spread.median));
            chart
                .draw_series(
                    LineSeries::new(line, color.stroke_width(if way.is_ours() { 3 } else { 1 })).point_size(3),
                )?
                .label(label(way))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(3)));
            let bars = points.iter().map(|&(feeds, Spread { median, least, most })| {
                ErrorBar::new_vertical(feeds as f64, least, median, most, color.filled(), 4)
            });
            chart.draw_series(bars)?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .label_font((FONT, 12))
            .draw()?;
        Ok(())
    }

    fn points(&self, report: &Report, way: &Way) -> Vec<(usize, Spread)> {
        let cells = report.cells.iter().filter(|cell| cell.case == self.case && cell.way == way.id);
        cells.filter_map(|cell| Some((cell.feeds, (self.figure)(cell)?))).collect()
    }
}

/// Ours come from several places: which library it was is told.
fn label(way: &Way) -> String {
    match way.release() {
        Some(release) => format!("{}, Debian {release}", way.title),
        None => way.title.into(),
    }
}
