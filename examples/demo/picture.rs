//! A frame with boxes and labels drawn on it.

use std::{convert::Infallible, error::Error};

use embedded_graphics::{
    Pixel,
    mono_font::{MonoTextStyle, MonoTextStyleBuilder, ascii::FONT_10X20},
    pixelcolor::Rgb888,
    prelude::*,
    primitives::{PrimitiveStyle, Rectangle},
    text::{Baseline, Text},
};
use gst_video::prelude::*;

const TIMEOUT: gst::ClockTime = gst::ClockTime::from_seconds(10);
const LINE: u32 = 3;
/// One for each class, over again where there are more.
const COLOURS: [Rgb888; 6] = [
    Rgb888::new(255, 214, 0),
    Rgb888::new(0, 229, 255),
    Rgb888::new(255, 64, 129),
    Rgb888::new(118, 255, 3),
    Rgb888::new(255, 145, 0),
    Rgb888::new(179, 136, 255),
];

/// The frame in `sample` with `objects` of an `nv-result` drawn on it, as the content of a PNG file.
pub fn annotated(sample: &gst::Sample, objects: &[gst::Structure]) -> Result<Vec<u8>, Box<dyn Error>> {
    let caps = gst_video::VideoCapsBuilder::new().format(gst_video::VideoFormat::Rgb).build();
    let rgb = gst_video::convert_sample(sample, &caps, Some(TIMEOUT))?;
    let caps = rgb.caps_owned().ok_or("a converted frame without a format")?;
    let info = gst_video::VideoInfo::from_caps(&caps)?;
    let mut buffer = rgb.buffer_owned().ok_or("a converted frame without pixels")?;
    buffer.make_mut();
    let frame = gst_video::VideoFrame::from_buffer_writable(buffer, &info).map_err(|_| "a frame that is read-only")?;

    let mut canvas = Canvas(frame);
    // The most confident come first: their labels are to lie on top.
    for object in objects.iter().rev() {
        draw(&mut canvas, object)?;
    }

    let drawn = gst::Sample::builder().buffer(&canvas.0.into_buffer()).caps(&caps).build();
    let png = gst_video::convert_sample(&drawn, &gst::Caps::new_empty_simple("image/png"), Some(TIMEOUT))?;
    let content = png.buffer().ok_or("an encoded picture without content")?.map_readable()?;
    Ok(content.to_vec())
}

fn draw(canvas: &mut Canvas, object: &gst::Structure) -> Result<(), Box<dyn Error>> {
    let edge = |name| object.get::<f32>(name).map(|pixels| pixels.round() as i32);
    let (x, y, w, h) = (edge("x")?, edge("y")?, edge("w")?, edge("h")?);
    let colour = COLOURS[object.get::<u32>("label-id")? as usize % COLOURS.len()];
    let size = Size::new(w.unsigned_abs(), h.unsigned_abs());
    let outline = Rectangle::new(Point::new(x, y), size);
    // With a dark rim it is seen on any background.
    for style in [PrimitiveStyle::with_stroke(Rgb888::BLACK, LINE + 2), PrimitiveStyle::with_stroke(colour, LINE)] {
        let Ok(()) = outline.into_styled(style).draw(canvas);
    }

    let label = format!("{} {:.2}", object.get::<&str>("label")?, object.get::<f32>("confidence")?);
    let style: MonoTextStyle<_> =
        MonoTextStyleBuilder::new().font(&FONT_10X20).text_color(Rgb888::BLACK).background_color(colour).build();
    // Above the box, or inside it at the upper edge of the picture; never beyond its right edge.
    let above = y - FONT_10X20.character_size.height as i32;
    let text = Text::with_baseline(&label, Point::zero(), style, Baseline::Top);
    let right = canvas.size().width as i32 - text.bounding_box().size.width as i32;
    let place = Point::new(x.min(right), if above < 0 { y } else { above });
    let Ok(_) = text.translate(place).draw(canvas);
    Ok(())
}

/// An RGB frame to draw on.
struct Canvas(gst_video::VideoFrame<gst_video::video_frame::Writable>);

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        let inside = self.bounding_box();
        let stride = self.0.plane_stride().first().copied().unwrap_or_default() as usize;
        let Ok(data) = self.0.plane_data_mut(0) else { return Ok(()) };
        for Pixel(point, colour) in pixels.into_iter().filter(|Pixel(point, _)| inside.contains(*point)) {
            let start = point.y as usize * stride + point.x as usize * 3;
            if let Some(pixel) = data.get_mut(start..start + 3) {
                pixel.copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
