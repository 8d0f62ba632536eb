//! Whether the next frame may be encoded: a place for one frame between the encoder and the sender. It is asked
//! before encoding, because a frame that was encoded and then dropped breaks every frame that refers to it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The place; free at first.
#[derive(Debug, Default)]
pub struct Room {
    taken: Mutex<bool>,
    freed: Condvar,
}

impl Room {
    /// Waits until the place is free. False if it still is not after `patience`.
    pub fn wait(&self, patience: Duration) -> bool {
        let (taken, _) = self
            .freed
            .wait_timeout_while(self.lock(), patience, |taken| *taken)
            .unwrap_or_else(PoisonError::into_inner);
        !*taken
    }

    /// A frame lies there now.
    pub fn take(&self) {
        *self.lock() = true;
    }

    /// The sender has picked the frame up.
    pub fn give(&self) {
        *self.lock() = false;
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_encoded_while_a_frame_waits_for_the_sender() {
        let room = Room::default();
        assert!(room.wait(Duration::ZERO));
        room.take();
        assert!(!room.wait(Duration::from_millis(5)));
        room.give();
        assert!(room.wait(Duration::ZERO));
    }

    #[test]
    fn the_encoder_is_woken_when_the_sender_picks_the_frame_up() {
        let room = Room::default();
        room.take();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| room.wait(Duration::from_secs(10)));
            std::thread::sleep(Duration::from_millis(20));
            room.give();
            assert!(waiting.join().is_ok_and(|free| free));
        });
    }
}
