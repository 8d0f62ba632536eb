//! Rate control for encoders whose own does not hold a rate: chooses the quantiser of each picture so that pictures
//! are as large as the rate allows, one by one. Pure arithmetic; the encoder reports what came out.
//!
//! The model: twice the bits for 6 steps less of the quantiser, and bits in proportion to how much the picture changed.
//! What a picture really took corrects the model for the next one; what was spent too much is saved again within a few
//! pictures, as a buffer of about one picture's size would demand.

/// Coarsest quantiser of H.264.
pub const MAX_QP: u8 = 51;

/// Finest quantiser that is used; below it a picture grows without a visible gain.
pub const MIN_QP: u8 = 16;

/// Quantiser steps for a factor of two in bits.
const STEPS_PER_OCTAVE: f64 = 6.0;

/// Steps that the quantiser may fall from one picture to the next, so that a still moment does not make the next
/// movement burst.
const MAX_FALL: f64 = 4.0;

/// How large a key picture may be, in pictures of the average size.
const KEY_PICTURES: f64 = 1.0;

/// How a picture depends on others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureKind {
    /// On none.
    Key,
    /// On the one before.
    Predicted,
}

/// Chooses quantisers.
#[derive(Debug, Clone)]
pub struct RateControl {
    /// Bits a picture at the target rate.
    budget: f64,
    /// Bits spent beyond the budget so far; never below zero, since the past's savings cannot be sent any more.
    debt: f64,
    /// log2 of the bits that a picture of unit activity would take at quantiser 0, per kind.
    key_model: f64,
    predicted_model: f64,
    /// Quantiser of the last picture.
    last_qp: f64,
}

impl RateControl {
    /// For a rate in bits per second and pictures of `pixels` at `fps`.
    pub fn new(bitrate_bps: u64, fps: f64, pixels: u64) -> Self {
        let mut control = Self {
            budget: 1.0,
            debt: 0.0,
            // Typical desktop pictures take about 0.2 bits a pixel at quantiser 30 when they stand alone.
            key_model: (0.2 * pixels as f64).log2() + 30.0 / STEPS_PER_OCTAVE,
            predicted_model: (0.05 * pixels as f64).log2() + 30.0 / STEPS_PER_OCTAVE,
            last_qp: 30.0,
        };
        control.set_bitrate(bitrate_bps, fps);
        control
    }

    /// Changes the target from the next picture on.
    pub fn set_bitrate(&mut self, bitrate_bps: u64, fps: f64) {
        self.budget = (bitrate_bps as f64 / fps.max(1.0)).max(1.0);
        self.debt = self.debt.min(self.budget);
    }

    /// The quantiser for the next picture. `activity` is how much it differs from the last one (for a predicted
    /// picture) in any unit, at least 0.
    pub fn choose(&mut self, kind: PictureKind, activity: f64) -> u8 {
        // Half of the debt is paid back at once, so that a picture that came out large is made up for in a few.
        let bits = (self.budget - self.debt / 2.0).max(self.budget / 4.0);
        let (bits, model) = match kind {
            PictureKind::Key => (bits * KEY_PICTURES, self.key_model),
            PictureKind::Predicted => (bits, self.predicted_model + weight(activity)),
        };
        let qp = (model - bits.log2()) * STEPS_PER_OCTAVE;
        let floor = match kind {
            PictureKind::Key => f64::from(MIN_QP),
            PictureKind::Predicted => self.last_qp - MAX_FALL,
        };
        // Rounding up keeps the error on the side of small pictures.
        qp.max(floor).ceil().clamp(f64::from(MIN_QP), f64::from(MAX_QP)) as u8
    }

    /// Tells what a picture took at a quantiser.
    pub fn report(&mut self, kind: PictureKind, activity: f64, qp: u8, bytes: usize) {
        let bits = (bytes * 8).max(1) as f64;
        let measured = bits.log2() + f64::from(qp) / STEPS_PER_OCTAVE;
        match kind {
            PictureKind::Key => self.key_model = blend(self.key_model, measured, 0.7),
            PictureKind::Predicted => {
                self.predicted_model = blend(self.predicted_model, measured - weight(activity), 0.5);
            }
        }
        self.last_qp = f64::from(qp);
        self.debt = (self.debt + bits - self.budget).clamp(0.0, 8.0 * self.budget);
    }
}

/// log2 of what activity does to the bits. A picture without change still has its headers.
fn weight(activity: f64) -> f64 {
    (activity.max(0.0) + 0.02).log2()
}

fn blend(old: f64, new: f64, share: f64) -> f64 {
    old + (new - old) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    const FPS: f64 = 60.0;
    const RATE: u64 = 10_000_000;
    const PIXELS: u64 = 1280 * 720;

    /// An encoder that follows the model with a factor of its own.
    fn picture_bytes(kind: PictureKind, activity: f64, qp: u8, factor: f64) -> usize {
        let alone = if kind == PictureKind::Key { 4.0 } else { activity + 0.01 };
        (factor * alone * PIXELS as f64 * 2f64.powf(-f64::from(qp) / STEPS_PER_OCTAVE)) as usize
    }

    fn run(control: &mut RateControl, pictures: usize, factor: f64) -> Vec<usize> {
        (0..pictures)
            .map(|number| {
                let activity = 1.0 + 0.5 * (number as f64 / 9.0).sin();
                let kind = if number == 0 { PictureKind::Key } else { PictureKind::Predicted };
                let qp = control.choose(kind, activity);
                let bytes = picture_bytes(kind, activity, qp, factor);
                control.report(kind, activity, qp, bytes);
                bytes
            })
            .collect()
    }

    #[test]
    fn the_rate_is_held_whatever_the_content() {
        for factor in [0.3, 1.0, 3.0, 5.0] {
            let sizes = run(&mut RateControl::new(RATE, FPS, PIXELS), 300, factor);
            let rate = sizes.iter().sum::<usize>() as f64 * 8.0 / 5.0;
            assert!((0.75..1.05).contains(&(rate / RATE as f64)), "factor {factor}: {rate}");
            let largest = *sizes[3..].iter().max().unwrap() as f64 * 8.0 * FPS / RATE as f64;
            assert!(largest < 1.5, "factor {factor}: a picture of {largest} times the average");
        }
    }

    #[test]
    fn a_new_rate_is_met_within_a_few_pictures() {
        let mut control = RateControl::new(RATE, FPS, PIXELS);
        run(&mut control, 60, 1.0);
        control.set_bitrate(RATE / 4, FPS);
        let sizes = run(&mut control, 60, 1.0);
        let rate = sizes[4..].iter().sum::<usize>() as f64 * 8.0 * FPS / (sizes.len() - 4) as f64;
        assert!((0.7..1.05).contains(&(rate * 4.0 / RATE as f64)), "{rate}");
    }

    #[test]
    fn a_large_picture_is_made_up_for() {
        let mut control = RateControl::new(RATE, FPS, PIXELS);
        run(&mut control, 60, 1.0);
        let before = control.choose(PictureKind::Predicted, 1.0);
        control.report(PictureKind::Predicted, 4.0, before, 100_000);
        assert!(control.choose(PictureKind::Predicted, 1.0) > before);
    }
}
