//! Input packets, and what input backends do with them: geometry and DualSense reports.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lumen_core::gamestream::input::InputEvent;
use lumen_core::gamestream::input::dualsense::{Calibration, OutputReport, ReportSizes, raw_motion};
use lumen_core::gamestream::input::geometry::{pen_tilt, touch_orientation};

fuzz_target!(|data: &[u8]| {
    let _ = OutputReport::parse(data);
    let _ = Calibration::parse(data);
    let _ = ReportSizes::of_descriptor(data);
    let Ok(event) = InputEvent::parse(data) else { return };
    assert_eq!(InputEvent::parse(&event.to_bytes()), Ok(event.clone()));
    match event {
        InputEvent::Key(key) => assert!(!key.is_ignored() || key.evdev().is_none()),
        InputEvent::Text(text) => assert!(text.delivered().count() <= 32),
        InputEvent::MouseAbsolute(position) => assert!(position.normalised().iter().all(|part| part.is_finite())),
        InputEvent::Touch(touch) => {
            assert!(touch.contact_area(7680.0, 4320.0).major.is_finite());
            assert!(touch.rotation.is_none_or(|rotation| touch_orientation(rotation).abs() <= 90));
        }
        InputEvent::Pen(pen) => assert!(pen_tilt(pen.rotation, pen.tilt).x.abs() <= 90.0),
        InputEvent::ControllerMotion(motion) => {
            let _ = motion.values().map(|value| raw_motion(motion.kind, value.into()));
        }
        _ => {}
    }
});
