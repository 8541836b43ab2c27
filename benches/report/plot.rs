//! The picture: throughput and latency over the number of feeds, one line a way.

use std::path::Path;

use plotters::{coord::Shift, prelude::*, style::FontDesc};

use crate::{
    report::{Cell, Report, Spread},
    ways::{WAYS, Way},
};

const SIZE: (u32, u32) = (1100, 520);
const FONT: &str = "sans-serif";
/// For what both panels share.
const LEGEND: (usize, i32) = (4, 24);

/// One a way: dark and light for two of a kind, ours green.
const COLORS: [RGBColor; 10] = [
    RGBColor(40, 40, 40),
    RGBColor(0, 125, 60),
    RGBColor(225, 115, 0),
    RGBColor(245, 185, 90),
    RGBColor(20, 85, 190),
    RGBColor(115, 175, 235),
    RGBColor(190, 20, 40),
    RGBColor(70, 175, 100),
    RGBColor(235, 120, 130),
    RGBColor(145, 210, 150),
];

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
    let ways: Vec<_> =
        WAYS.iter().zip(COLORS).filter(|(way, _)| PANELS.iter().any(|panel| panel.has(report, way))).collect();
    let rows = ways.len().div_ceil(LEGEND.0) as i32;
    let (panels, legend) = area.split_vertically(SIZE.1 as i32 - rows * LEGEND.1 - 12);
    let (left, right) = panels.split_horizontally(SIZE.0 / 2);
    for (panel, area) in PANELS.iter().zip([left, right]) {
        panel.draw(report, &ways, &area)?;
    }
    draw_legend(&ways, &legend)?;
    area.present()?;
    Ok(())
}

const PANELS: [Panel; 2] = [
    Panel { case: "small", title: "frames/s, MobileNetV3-small at 224x224", figure: |cell| cell.rate },
    Panel { case: "live", title: "p99 of the latency in ms, live feeds at 30 frames/s", figure: |cell| cell.p99_ms },
];

struct Panel {
    case: &'static str,
    title: &'static str,
    figure: fn(&Cell) -> Option<Spread>,
}

impl Panel {
    fn draw(&self, report: &Report, ways: &[(&Way, RGBColor)], area: &Area) -> Drawn {
        let lines: Vec<_> = ways.iter().map(|(way, color)| (way, color, self.points(report, way))).collect();
        let all = || lines.iter().flat_map(|(_, _, points)| points);
        let feeds = all().map(|&(feeds, _)| feeds).max().unwrap_or(1);
        // One round in which the machine stood still is not to flatten all others: its bar leaves the picture.
        let top = all().map(|(_, spread)| spread.median).fold(1.0, f64::max) * 1.15;
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, (FONT, 17))
            .margin(14)
            .x_label_area_size(34)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..feeds as f64 + 0.5, 0.0..top)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("feeds")
            .label_style((FONT, 13))
            .x_label_formatter(&|feeds| format!("{feeds:.0}"))
            .y_label_formatter(&|figure| format!("{figure:.0}"))
            .draw()?;
        // The first lines are to be seen best.
        for (way, color, points) in lines.iter().rev() {
            let line = points.iter().map(|&(feeds, spread)| (feeds as f64, spread.median));
            chart.draw_series(LineSeries::new(line, color.stroke_width(width(way))).point_size(3))?;
            let bars = points.iter().map(|&(feeds, Spread { median, least, most })| {
                ErrorBar::new_vertical(feeds as f64, least, median, most.min(top), color.filled(), 4)
            });
            chart.draw_series(bars)?;
        }
        Ok(())
    }

    fn has(&self, report: &Report, way: &Way) -> bool {
        !self.points(report, way).is_empty()
    }

    fn points(&self, report: &Report, way: &Way) -> Vec<(usize, Spread)> {
        let cells = report.cells.iter().filter(|cell| cell.case == self.case && cell.way == way.id);
        cells.filter_map(|cell| Some((cell.feeds, (self.figure)(cell)?))).collect()
    }
}

fn draw_legend(ways: &[(&Way, RGBColor)], area: &Area) -> Drawn {
    let (columns, height) = LEGEND;
    let width_of_column = (SIZE.0 as usize - 60) / columns;
    for (number, (way, color)) in ways.iter().enumerate() {
        let (x, y) = ((60 + number % columns * width_of_column) as i32, number as i32 / columns as i32 * height);
        area.draw(&PathElement::new([(x, y + 8), (x + 22, y + 8)], color.stroke_width(width(way) + 1)))?;
        area.draw(&Text::new(label(way), (x + 30, y), FontDesc::from((FONT, 13))))?;
    }
    Ok(())
}

fn width(way: &Way) -> u32 {
    if way.is_ours() { 3 } else { 1 }
}

/// Ours come from several places: which library it was is told.
fn label(way: &Way) -> String {
    match way.release() {
        Some(release) => format!("{}, Debian {release}", way.title),
        None => way.title.into(),
    }
}
