//! The faces that the card is set in, at the sizes of one layout.

use super::font::{Face, Weight};
use super::layout::Layout;

/// Smaller type cannot be read.
const SMALLEST: f32 = 10.0;

/// The faces of one picture size.
#[derive(Debug)]
pub struct Faces {
    /// The word "lumen".
    pub title: Face,
    /// The time of day.
    pub clock: Face,
    /// Its milliseconds.
    pub millis: Face,
    /// The frame number on the dial.
    pub count: Face,
    /// The date on the dial.
    pub date: Face,
    /// The loudspeakers on the dial.
    pub speaker: Face,
    /// Numbers that stand out.
    pub strong: Face,
    /// Text.
    pub body: Face,
    /// Labels.
    pub label: Face,
    /// Labels of small things.
    pub tiny: Face,
}

impl Faces {
    /// The faces of a layout.
    pub fn new(layout: &Layout) -> Self {
        let dial = layout.dial.radius;
        let face = |weight, size: f32| Face::new(weight, size.max(SMALLEST).round());
        Self {
            title: face(Weight::Bold, layout.px(46.0)),
            clock: face(Weight::Bold, dial * 0.315),
            millis: face(Weight::Regular, dial * 0.17),
            count: face(Weight::Bold, dial * 0.08),
            date: face(Weight::Regular, dial * 0.062),
            speaker: face(Weight::Bold, dial * 0.049),
            strong: face(Weight::Bold, layout.px(17.0)),
            body: face(Weight::Regular, layout.px(15.0)),
            label: face(Weight::Regular, layout.px(13.0)),
            tiny: face(Weight::Bold, layout.px(10.5)),
        }
    }
}
