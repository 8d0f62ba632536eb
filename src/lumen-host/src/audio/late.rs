//! Sound of a display that is still coming up: silence, until there is its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use super::{AudioSource, Silence};

/// See the module.
pub struct Late {
    source: Box<dyn AudioSource>,
    arrival: Receiver<Box<dyn AudioSource>>,
}

impl Late {
    /// A source with `channels` channels, and where the real one is to be sent, which must have as many.
    pub fn new(channels: u8) -> (Sender<Box<dyn AudioSource>>, Self) {
        let (sender, arrival) = channel();
        (sender, Self { source: Box::new(Silence::new(channels)), arrival })
    }
}

impl AudioSource for Late {
    fn channels(&self) -> u8 {
        self.source.channels()
    }

    fn read(&mut self, at: Instant, samples: &mut [f32]) {
        if let Ok(source) = self.arrival.try_recv() {
            self.source = source;
        }
        self.source.read(at, samples);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Loud;

    impl AudioSource for Loud {
        fn channels(&self) -> u8 {
            2
        }
        fn read(&mut self, _at: Instant, samples: &mut [f32]) {
            samples.fill(0.5);
        }
    }

    #[test]
    fn silence_lasts_until_the_sound_is_there() {
        let (arrival, mut late) = Late::new(2);
        let mut samples = [1.0; 4];
        late.read(Instant::now(), &mut samples);
        assert_eq!(samples, [0.0; 4]);
        arrival.send(Box::new(Loud)).expect("it listens");
        drop(arrival);
        for _ in 0..2 {
            late.read(Instant::now(), &mut samples);
            assert_eq!(samples, [0.5; 4]);
        }
    }
}
