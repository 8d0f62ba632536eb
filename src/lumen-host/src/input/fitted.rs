//! Input for displays whose pictures are fitted into the client's: positions are led to where they lie on the display.

use lumen_core::gamestream::control::HostMessage;
use lumen_core::gamestream::input::{AbsolutePosition, Fraction, InputEvent, PenEvent, ReferenceExtent, TouchEvent};

use crate::capture::fit::Frame;

use super::InputSink;
use super::remote::parts;

/// Largest coordinate of positions that were fitted.
const LARGEST: i16 = i16::MAX;

/// Input whose positions are on pictures that were fitted into a frame, for a sink whose positions are on the desktop.
pub struct FittedInput {
    inner: Box<dyn InputSink>,
    frame: Frame,
}

impl FittedInput {
    /// `inner`, seen through `frame`.
    pub fn new(inner: Box<dyn InputSink>, frame: Frame) -> Self {
        Self { inner, frame }
    }

    fn fractions(&self, x: Fraction, y: Fraction) -> (Fraction, Fraction) {
        let [to_x, to_y] = self.frame.fit().locate(parts(x, y));
        (Fraction::try_from(to_x as f32).unwrap_or(x), Fraction::try_from(to_y as f32).unwrap_or(y))
    }
}

impl InputSink for FittedInput {
    fn handle(&mut self, event: &InputEvent) {
        match event {
            InputEvent::MouseAbsolute(position) => {
                let [x, y] = self.frame.fit().locate(position.normalised());
                let pixel = |part: f64| (part * f64::from(LARGEST)).round() as i16;
                let largest = ReferenceExtent::try_from(LARGEST).unwrap_or(position.reference_width);
                self.inner.handle(&InputEvent::MouseAbsolute(AbsolutePosition {
                    x: pixel(x),
                    y: pixel(y),
                    reference_width: largest,
                    reference_height: largest,
                }));
            }
            InputEvent::Touch(touch) => {
                let (x, y) = self.fractions(touch.x, touch.y);
                self.inner.handle(&InputEvent::Touch(TouchEvent { x, y, ..*touch }));
            }
            InputEvent::Pen(pen) => {
                let (x, y) = self.fractions(pen.x, pen.y);
                self.inner.handle(&InputEvent::Pen(PenEvent { x, y, ..*pen }));
            }
            other => self.inner.handle(other),
        }
    }

    fn release_all(&mut self) {
        self.inner.release_all();
    }

    fn poll_feedback(&mut self) -> Option<HostMessage> {
        self.inner.poll_feedback()
    }
}
