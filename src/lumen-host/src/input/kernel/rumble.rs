//! Effects that programs upload to a gamepad with two motors, and how fast the motors run at a given time.
//!
//! Only speeds come out: a client plays rumble, not waves.

use std::time::{Duration, Instant};

use super::uinput::{EFFECTS, Feedback};

/// Speed of the heavy and of the light motor, 0..=65535 each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Speed {
    /// Heavy motor.
    pub strong: u16,
    /// Light motor.
    pub weak: u16,
}

/// Time between two speeds that are told: programs may change them at every picture of a fast game.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The motors of one gamepad.
#[derive(Debug)]
pub struct Motors {
    effects: [Option<Effect>; EFFECTS],
    gain: u16,
    told: Speed,
    told_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Effect {
    speed: Speed,
    delay: Duration,
    /// Zero runs until stopped.
    length: Duration,
    playing: Option<Playing>,
}

#[derive(Debug, Clone, Copy)]
struct Playing {
    since: Instant,
    times: u32,
}

impl Default for Motors {
    fn default() -> Self {
        Self { effects: [None; EFFECTS], gain: u16::MAX, told: Speed::default(), told_at: None }
    }
}

impl Motors {
    /// Takes note of what a program asked for.
    pub fn apply(&mut self, feedback: Feedback, now: Instant) {
        match feedback {
            Feedback::Upload(number, data) => {
                let Some(slot) = self.slot(number) else { return };
                // An effect that plays goes on with its new values.
                let playing = slot.and_then(|old| old.playing).map(|playing| Playing { since: now, ..playing });
                *slot = Some(Effect {
                    speed: Speed { strong: data.strong, weak: data.weak },
                    delay: Duration::from_millis(data.delay_ms.into()),
                    length: Duration::from_millis(data.length_ms.into()),
                    playing,
                });
            }
            Feedback::Erase(number) => {
                if let Some(slot) = self.slot(number) {
                    *slot = None;
                }
            }
            Feedback::Play(number, times) => {
                if let Some(Some(effect)) = self.slot(number) {
                    let times = u32::try_from(times).unwrap_or(0);
                    effect.playing = (times > 0).then_some(Playing { since: now, times });
                }
            }
            Feedback::Gain(gain) => self.gain = gain,
        }
    }

    /// The speed to tell the client now, if it changed.
    pub fn poll(&mut self, now: Instant) -> Option<Speed> {
        let speed = self.speed(now);
        let early = self.told_at.is_some_and(|told| now < told + MIN_INTERVAL);
        // A stop is told at once.
        if speed == self.told || early && speed != Speed::default() {
            return None;
        }
        self.told = speed;
        self.told_at = Some(now);
        Some(speed)
    }

    /// When to poll again though no program asks for anything.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let waiting = (self.speed(now) != self.told).then(|| self.told_at.map_or(now, |told| told + MIN_INTERVAL));
        let changes = self.effects.iter().flatten().filter_map(|effect| effect.next_change(now));
        changes.chain(waiting).min()
    }

    /// What the client was told last.
    pub fn told(&self) -> Speed {
        self.told
    }

    fn speed(&self, now: Instant) -> Speed {
        let mut sum = Speed::default();
        for effect in self.effects.iter().flatten().filter(|effect| effect.runs(now)) {
            sum.strong = sum.strong.saturating_add(effect.speed.strong);
            sum.weak = sum.weak.saturating_add(effect.speed.weak);
        }
        let scaled = |speed: u16| (u32::from(speed) * u32::from(self.gain) / u32::from(u16::MAX)) as u16;
        Speed { strong: scaled(sum.strong), weak: scaled(sum.weak) }
    }

    fn slot(&mut self, number: i16) -> Option<&mut Option<Effect>> {
        usize::try_from(number).ok().and_then(|number| self.effects.get_mut(number))
    }
}

impl Effect {
    fn runs(&self, now: Instant) -> bool {
        let Some(playing) = self.playing else { return false };
        let elapsed = now.saturating_duration_since(playing.since);
        if self.length.is_zero() {
            return elapsed >= self.delay;
        }
        let (round, within) = self.round(elapsed);
        round < u128::from(playing.times) && within >= self.delay
    }

    /// Which round it is in, and since when; only for effects that end.
    fn round(&self, elapsed: Duration) -> (u128, Duration) {
        let period = self.delay + self.length;
        let within = elapsed.as_nanos() % period.as_nanos();
        // Less than a period, which has two minutes at most.
        (elapsed.as_nanos() / period.as_nanos(), Duration::from_nanos(within as u64))
    }

    fn next_change(&self, now: Instant) -> Option<Instant> {
        let playing = self.playing?;
        let elapsed = now.saturating_duration_since(playing.since);
        if self.length.is_zero() {
            return (elapsed < self.delay).then(|| playing.since + self.delay);
        }
        let (round, within) = self.round(elapsed);
        let to_go = if within < self.delay { self.delay - within } else { self.delay + self.length - within };
        (round < u128::from(playing.times)).then(|| now + to_go)
    }
}

#[cfg(test)]
mod tests {
    use super::super::uinput;
    use super::*;

    const ON: Speed = Speed { strong: 0x8000, weak: 0x4000 };
    const OFF: Speed = Speed { strong: 0, weak: 0 };

    fn rumble(delay_ms: u16, length_ms: u16) -> uinput::Effect {
        uinput::Effect { strong: ON.strong, weak: ON.weak, delay_ms, length_ms }
    }

    fn after(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn an_effect_runs_for_its_length_and_says_when_it_ends() {
        let start = Instant::now();
        let mut motors = Motors::default();
        motors.apply(Feedback::Upload(3, rumble(0, 100)), start);
        assert_eq!(motors.poll(start), None);
        motors.apply(Feedback::Play(3, 1), start);
        assert_eq!(motors.poll(start), Some(ON));
        assert_eq!(motors.deadline(start), Some(after(start, 100)));
        assert_eq!(motors.poll(after(start, 99)), None);
        assert_eq!(motors.poll(after(start, 100)), Some(OFF));
        assert_eq!(motors.deadline(after(start, 100)), None);
    }

    #[test]
    fn rounds_have_their_delay_each() {
        let start = Instant::now();
        let mut motors = Motors::default();
        motors.apply(Feedback::Upload(0, rumble(20, 30)), start);
        motors.apply(Feedback::Play(0, 2), start);
        let told: Vec<_> = [0, 19, 20, 49, 50, 69, 70, 99, 100].map(|ms| motors.speed(after(start, ms)) == ON).into();
        assert_eq!(told, [false, false, true, true, false, false, true, true, false]);
        assert_eq!(motors.deadline(after(start, 50)), Some(after(start, 70)));
    }

    #[test]
    fn an_effect_without_length_runs_until_it_is_stopped_or_erased() {
        let start = Instant::now();
        let mut motors = Motors::default();
        motors.apply(Feedback::Upload(0, rumble(0, 0)), start);
        motors.apply(Feedback::Play(0, 1), start);
        assert_eq!(motors.poll(start), Some(ON));
        assert_eq!(motors.poll(after(start, 100_000)), None);
        motors.apply(Feedback::Play(0, 0), start);
        assert_eq!(motors.poll(after(start, 100_001)), Some(OFF));
        motors.apply(Feedback::Play(0, 1), start);
        assert_eq!(motors.poll(after(start, 100_100)), Some(ON));
        motors.apply(Feedback::Erase(0), start);
        assert_eq!(motors.poll(after(start, 100_200)), Some(OFF));
    }

    #[test]
    fn effects_add_up_and_gain_scales_them() {
        let start = Instant::now();
        let mut motors = Motors::default();
        for number in [0, 1, 2] {
            motors.apply(Feedback::Upload(number, rumble(0, 0)), start);
            motors.apply(Feedback::Play(number, 1), start);
        }
        assert_eq!(motors.speed(start), Speed { strong: 0xFFFF, weak: 0xC000 });
        motors.apply(Feedback::Gain(0x7FFF), start);
        assert_eq!(motors.speed(start), Speed { strong: 0x7FFF, weak: 0x5FFF });
        motors.apply(Feedback::Gain(0), start);
        assert_eq!(motors.speed(start), OFF);
    }

    #[test]
    fn changes_are_told_at_most_every_10_ms_but_a_stop_at_once() {
        let start = Instant::now();
        let mut motors = Motors::default();
        for number in [0, 1] {
            motors.apply(Feedback::Upload(number, rumble(0, 0)), start);
        }
        motors.apply(Feedback::Play(0, 1), start);
        assert_eq!(motors.poll(start), Some(ON));
        motors.apply(Feedback::Play(1, 1), start);
        assert_eq!(motors.poll(after(start, 1)), None);
        assert_eq!(motors.deadline(after(start, 1)), Some(after(start, 10)));
        assert_eq!(motors.poll(after(start, 10)), Some(Speed { strong: 0xFFFF, weak: 0x8000 }));
        for number in [0, 1] {
            motors.apply(Feedback::Play(number, 0), start);
        }
        assert_eq!(motors.poll(after(start, 11)), Some(OFF));
    }

    #[test]
    fn numbers_of_no_effect_are_ignored() {
        let mut motors = Motors::default();
        let now = Instant::now();
        for number in [-1, 16, i16::MAX] {
            motors.apply(Feedback::Upload(number, rumble(0, 0)), now);
            motors.apply(Feedback::Play(number, -5), now);
            motors.apply(Feedback::Erase(number), now);
        }
        assert_eq!(motors.poll(now), None);
    }
}
