//! Samples between PipeWire's thread and the encoder's. Both clocks run at their own pace: the ring holds a little
//! sound back so that neither finds it empty, and drops what piles up.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audio::SAMPLE_RATE;

/// Sound that is held back: what has been played is heard this much later.
const HELD_BACK_MS: usize = 15;

/// Sound that may pile up before all but [`HELD_BACK_MS`] of it is dropped.
const MOST_MS: usize = 60;

/// See the module.
#[derive(Debug)]
pub struct Ring {
    channels: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    samples: VecDeque<f32>,
    /// Nothing is given out until there is enough again.
    filling: bool,
}

impl Ring {
    /// An empty ring of interleaved samples.
    pub fn new(channels: usize) -> Self {
        let samples = VecDeque::with_capacity(2 * samples(MOST_MS, channels));
        Self { channels, state: Mutex::new(State { samples, filling: true }) }
    }

    /// Puts in what was played.
    pub fn write(&self, played: impl Iterator<Item = f32>) {
        let mut state = self.lock();
        state.samples.extend(played);
        if state.samples.len() > samples(MOST_MS, self.channels) {
            // From the front, in whole frames: what is new is what counts.
            let surplus = state.samples.len() - samples(HELD_BACK_MS, self.channels);
            state.samples.drain(..surplus - surplus % self.channels);
        }
    }

    /// Takes out what is next, and silence where there is nothing.
    pub fn read(&self, wanted: &mut [f32]) {
        let mut state = self.lock();
        if state.filling && state.samples.len() >= samples(HELD_BACK_MS, self.channels).max(wanted.len()) {
            state.filling = false;
        }
        let ready = if state.filling { 0 } else { wanted.len().min(state.samples.len()) };
        let (sound, silence) = wanted.split_at_mut(ready);
        for (sample, played) in sound.iter_mut().zip(state.samples.drain(..ready)) {
            *sample = played;
        }
        silence.fill(0.0);
        state.filling |= !silence.is_empty();
    }

    /// Forgets everything: PipeWire is gone.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.samples.clear();
        state.filling = true;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Held for a copy of a few milliseconds of sound at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn samples(milliseconds: usize, channels: usize) -> usize {
    milliseconds * SAMPLE_RATE as usize / 1000 * channels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(ring: &Ring, milliseconds: usize, value: f32) {
        ring.write(std::iter::repeat_n(value, samples(milliseconds, 2)));
    }

    fn heard(ring: &Ring, milliseconds: usize) -> Vec<f32> {
        let mut wanted = vec![9.0; samples(milliseconds, 2)];
        ring.read(&mut wanted);
        wanted
    }

    #[test]
    fn nothing_is_heard_until_enough_is_held_back() {
        let ring = Ring::new(2);
        played(&ring, 10, 0.5);
        assert!(heard(&ring, 5).iter().all(|sample| *sample == 0.0));
        played(&ring, 10, 0.5);
        assert!(heard(&ring, 5).iter().all(|sample| *sample == 0.5));
    }

    #[test]
    fn a_ring_that_ran_dry_gives_silence_and_fills_again() {
        let ring = Ring::new(2);
        played(&ring, 15, 0.5);
        assert!(heard(&ring, 5).iter().all(|sample| *sample == 0.5));
        let sound = heard(&ring, 15);
        assert_eq!(sound.iter().filter(|sample| **sample == 0.5).count(), samples(10, 2));
        assert_eq!(sound.iter().filter(|sample| **sample == 0.0).count(), samples(5, 2));
        played(&ring, 10, 0.5);
        assert!(heard(&ring, 5).iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn what_piles_up_is_dropped_and_the_newest_stays() {
        let ring = Ring::new(2);
        played(&ring, 60, 0.25);
        played(&ring, 15, 0.5);
        assert!(heard(&ring, 15).iter().all(|sample| *sample == 0.5));
        assert!(heard(&ring, 5).iter().all(|sample| *sample == 0.0));
    }
}
