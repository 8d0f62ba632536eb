//! Pacing: batches leave at absolute deadlines spread over the frame interval, instead of in one burst or at a
//! built-in link speed. A hybrid of an absolute sleep and a short calibrated spin; the real-time class when the
//! system permits it, because under load the scheduling class decides, not the clock call.

use std::time::{Duration, Instant};

use thread_priority::unix::{
    RealtimeThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadPriorityValue};

/// A frame of ordinary size leaves within this share of the frame interval: ten times the stream's own rate.
const ORDINARY_SHARE: f64 = 0.1;
/// However large, a frame leaves within this share, so that the last packet is gone well before the next frame.
const LARGEST_SHARE: f64 = 0.5;
/// Gaps shorter than this are not worth a wake-up: the batches go out together.
const MIN_GAP: Duration = Duration::from_micros(100);
/// Longest spin before a deadline.
const MAX_SPIN: Duration = Duration::from_micros(60);

/// When each batch of one frame may leave.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    gap: Duration,
}

impl Schedule {
    /// Spreads `batches` of which a frame of ordinary size has `ordinary_batches` over part of `interval`, from
    /// `start` on.
    pub fn new(start: Instant, interval: Duration, batches: usize, ordinary_batches: f64) -> Self {
        let ordinary = interval.mul_f64(ORDINARY_SHARE / ordinary_batches.max(0.5));
        let largest = interval.mul_f64(LARGEST_SHARE / batches.max(1) as f64);
        let gap = ordinary.min(largest);
        Self { start, gap: if gap < MIN_GAP { Duration::ZERO } else { gap } }
    }

    /// Everything at once.
    pub fn unpaced(start: Instant) -> Self {
        Self { start, gap: Duration::ZERO }
    }

    /// The deadline of batch `index`, from 0.
    pub fn deadline(&self, index: usize) -> Instant {
        self.start + self.gap * u32::try_from(index).unwrap_or(u32::MAX)
    }
}

/// How the kernel schedules a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// SCHED_RR: woken at once.
    RealTime,
    /// The ordinary class.
    Normal,
}

/// Waits for deadlines on the thread that made it.
#[derive(Debug)]
pub struct Sleeper {
    spin: Duration,
    class: Class,
}

impl Class {
    /// The class that a configuration asks for.
    pub fn wanted(realtime: bool) -> Self {
        if realtime { Self::RealTime } else { Self::Normal }
    }
}

impl Sleeper {
    /// Prepares the calling thread: timer slack of 1 ns, the real-time class if it is `wanted` and permitted, and a
    /// spin margin measured now.
    pub fn for_this_thread(wanted: Class) -> Self {
        let _ = nix::sys::prctl::set_timerslack(1);
        let class = if wanted == Class::RealTime { ask_for_real_time() } else { Class::Normal };
        // At normal priority a spinner uses up its share and is descheduled when it matters; on a single core it
        // takes time from the encoder.
        let spinning_pays = class == Class::RealTime && std::thread::available_parallelism().is_ok_and(|n| n.get() > 1);
        Self { spin: if spinning_pays { wake_up_delay().min(MAX_SPIN) } else { Duration::ZERO }, class }
    }

    /// The class that was granted.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Returns at `deadline`, or at once if it has passed.
    pub fn until(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left > self.spin {
            std::thread::sleep(left - self.spin);
        }
        if !self.spin.is_zero() {
            while Instant::now() < deadline {
                std::hint::spin_loop();
            }
        }
    }
}

/// Asks for SCHED_RR at a low priority: above every ordinary thread, below the sound server.
fn ask_for_real_time() -> Class {
    let Ok(value) = ThreadPriorityValue::try_from(5u8) else { return Class::Normal };
    let granted = set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(value),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::RoundRobin),
    );
    if granted.is_ok() { Class::RealTime } else { Class::Normal }
}

/// How late a sleep ends on this machine: the median of a few.
fn wake_up_delay() -> Duration {
    let mut delays: Vec<Duration> = (0..9)
        .map(|_| {
            let nap = Duration::from_micros(200);
            let before = Instant::now();
            std::thread::sleep(nap);
            before.elapsed().saturating_sub(nap)
        })
        .collect();
    delays.sort();
    delays[delays.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_micros(16_667);

    #[test]
    fn an_ordinary_frame_leaves_within_a_tenth_of_the_interval() {
        let start = Instant::now();
        let schedule = Schedule::new(start, INTERVAL, 4, 4.0);
        assert_eq!(schedule.deadline(0), start);
        assert!(schedule.deadline(3) - start < INTERVAL.mul_f64(0.1));
    }

    #[test]
    fn the_largest_frame_leaves_within_half_the_interval() {
        let start = Instant::now();
        let schedule = Schedule::new(start, INTERVAL, 60, 1.5);
        let last = schedule.deadline(59) - start;
        assert!(last <= INTERVAL.mul_f64(0.5), "{last:?}");
        assert!(last > INTERVAL.mul_f64(0.4), "{last:?}");
    }

    #[test]
    fn gaps_below_a_wake_up_are_left_out() {
        let start = Instant::now();
        assert_eq!(Schedule::new(start, INTERVAL, 1000, 500.0).deadline(999), start);
    }

    #[test]
    fn a_passed_deadline_returns_and_a_coming_one_is_kept() {
        let sleeper = Sleeper::for_this_thread(Class::RealTime);
        sleeper.until(Instant::now());
        let deadline = Instant::now() + Duration::from_millis(3);
        sleeper.until(deadline);
        assert!(Instant::now() + Duration::from_micros(1) >= deadline);
    }
}
