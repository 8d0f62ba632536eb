//! Displays that a command opens itself, without a host: which one, at which mode, with what on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Context;
use crate::apps::{self, Surroundings};
use crate::config::{AppConfig, Config, DisplayKind, HostName, Overrides};
use crate::display;
use crate::frame::Mode;
use crate::link::{AppSpec, SessionId, SessionSpec};

/// All kinds of displays.
const KINDS: [DisplayKind; 8] = [
    DisplayKind::Testcard,
    DisplayKind::TestcardMotion,
    DisplayKind::Auto,
    DisplayKind::Gamescope,
    DisplayKind::Kwin,
    DisplayKind::Mutter,
    DisplayKind::Wlroots,
    DisplayKind::Portal,
];

/// What to open.
#[derive(Debug, Args)]
pub(super) struct DisplayArgs {
    /// Application by its title, as clients see it
    #[arg(long, value_name = "TITLE", conflicts_with_all = ["display", "command"])]
    app: Option<String>,
    /// Kind of display; unset is the test card, or with a command the best that works here
    #[arg(long, value_name = "KIND", value_parser = kinds())]
    display: Option<DisplayKind>,
    /// Size and rate of the display, such as 1920x1080@59.94
    #[arg(long, value_name = "WxH@HZ", default_value = "1280x720@60", value_parser = mode)]
    mode: Mode,
    /// For how long, such as 10s, 500ms or 2min
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(super) duration: Duration,
    /// Program and arguments to run on the display
    #[arg(last = true)]
    command: Vec<String>,
}

/// A session that no host knows. Dropping it removes what it may have left.
pub(super) struct OwnSession {
    pub(super) spec: SessionSpec,
}

impl DisplayArgs {
    pub(super) fn session(&self, context: &Context) -> anyhow::Result<OwnSession> {
        let config = context.load(Overrides::default())?.config;
        let app = self.app(&config)?;
        let mut id = [0; 4];
        crate::daemon::random(&mut id);
        let id = SessionId(u32::from_le_bytes(id).into());
        let spec = SessionSpec {
            id,
            owner: [0; 32],
            owner_name: "this machine".to_owned(),
            app: AppSpec::new(0, &app),
            mode: self.mode,
            keep_alive: Duration::ZERO,
            directory: config.runtime_dir.join("sessions").join(id.to_string()),
            reunion: config.runtime_dir.join("workers.sock"),
            encoder: config.encoder.preference(),
        };
        Ok(OwnSession { spec })
    }

    fn app(&self, config: &Config) -> anyhow::Result<AppConfig> {
        let Some(wanted) = &self.app else {
            let title = HostName::try_from(self.command.first().cloned().unwrap_or_else(|| "Display".to_owned()));
            let title = title.or_else(|_| HostName::try_from("Command".to_owned())).map_err(anyhow::Error::msg)?;
            let kind = match self.display {
                Some(kind) => kind,
                None if self.command.is_empty() => DisplayKind::Testcard,
                None => DisplayKind::Auto,
            };
            return Ok(AppConfig { command: self.command.clone(), ..AppConfig::new(title, kind) });
        };
        let declared = config.effective_apps();
        if let Some(app) = declared.iter().find(|app| app.name.as_str().eq_ignore_ascii_case(wanted)) {
            return Ok(app.clone());
        }
        let findings = apps::discover(&config.discovery, &Surroundings::of_process());
        let found = findings.apps().iter().find(|app| app.title.eq_ignore_ascii_case(wanted));
        let Some(found) = found else {
            let titles = declared.iter().map(|app| app.name.as_str()).chain(findings.apps().iter().map(|a| &*a.title));
            let nearest =
                titles.max_by(|a, b| strsim::jaro_winkler(a, wanted).total_cmp(&strsim::jaro_winkler(b, wanted)));
            bail!("there is no application \"{wanted}\"; the nearest is \"{}\"", nearest.unwrap_or_default());
        };
        let title: String = found.title.chars().take(64).collect();
        let title = HostName::try_from(title).map_err(anyhow::Error::msg)?;
        let directory = found.directory.clone();
        Ok(AppConfig { command: found.command.clone(), directory, ..AppConfig::new(title, DisplayKind::Auto) })
    }
}

impl Drop for OwnSession {
    fn drop(&mut self) {
        display::clean_up(&self.spec.id.to_string(), &self.spec.directory);
    }
}

/// Set when the user interrupts: what was measured or recorded until then is kept.
pub(super) fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let signals = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        anyhow::Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    })?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let (mut interrupt, mut terminate) = signals;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        set.store(true, Ordering::Relaxed);
    })?;
    Ok(flag)
}

fn kinds() -> impl TypedValueParser<Value = DisplayKind> {
    PossibleValuesParser::new(KINDS.map(DisplayKind::as_str))
        .map(|name| KINDS.into_iter().find(|kind| kind.as_str() == name).unwrap_or_default())
}

/// `WIDTHxHEIGHT@RATE`. Rates such as 59.94 are the fractions that they stand for.
fn mode(text: &str) -> anyhow::Result<Mode> {
    let parts = text.split_once('@').and_then(|(size, rate)| Some((size.split_once('x')?, rate)));
    let ((width, height), rate) = parts.context("a mode looks like 1280x720@60")?;
    let side = |text: &str| {
        text.parse().ok().filter(|side| (16..=16_384).contains(side)).context("a side has 16 to 16384 pixels")
    };
    let (width, height) = (side(width)?, side(height)?);
    let rate: f64 = rate.parse().ok().filter(|rate| (1.0..=1000.0).contains(rate)).context("a rate is 1 to 1000")?;
    let whole = rate.round();
    let (rate_num, rate_den) = if (rate - whole).abs() < 0.001 {
        (whole as u32, 1)
    } else if (rate - rate.ceil() * 1000.0 / 1001.0).abs() < 0.01 {
        (rate.ceil() as u32 * 1000, 1001)
    } else {
        ((rate * 1000.0).round() as u32, 1000)
    };
    Ok(Mode { width, height, rate_num, rate_den })
}

fn duration(text: &str) -> anyhow::Result<Duration> {
    let units = [("ms", 0.001), ("min", 60.0), ("s", 1.0), ("m", 60.0)];
    let found = units.into_iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    let (number, factor) = found.unwrap_or((text, 1.0));
    let seconds = number.trim().parse::<f64>().ok().map(|number| number * factor);
    let seconds = seconds.filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).context("a time looks like 10s, 500ms or 2min, and is at most a day")
}

/// Bits per second: `20M`, `800k` or a bare number.
pub(super) fn bitrate(text: &str) -> anyhow::Result<u64> {
    let lower = text.to_lowercase();
    let units = [("k", 1e3), ("m", 1e6), ("g", 1e9)];
    let found = units.into_iter().find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, factor)));
    let (number, factor) = found.unwrap_or((&lower, 1.0));
    let bits = number.trim().parse::<f64>().ok().map(|number| number * factor);
    let bits = bits.filter(|bits| (100_000.0..=10e9).contains(bits));
    bits.map(|bits| bits as u64).context("a bit rate looks like 20M or 800k, and is at least 100k")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_may_have_fractional_rates() {
        let rate = |text: &str| mode(text).map(|mode| (mode.rate_num, mode.rate_den)).ok();
        assert_eq!(rate("1280x720@60"), Some((60, 1)));
        assert_eq!(rate("1280x720@59.94"), Some((60_000, 1001)));
        assert_eq!(rate("1280x720@119.88"), Some((120_000, 1001)));
        assert_eq!(rate("1280x720@23.976"), Some((24_000, 1001)));
        assert_eq!(rate("1366x768@50.5"), Some((50_500, 1000)));
        for wrong in ["1280x720", "1280@60", "0x720@60", "1280x720@0", "1280x720@NaN", "1280x720@-5"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_and_rates_have_units() {
        let time = |text: &str| duration(text).ok();
        assert_eq!(time("10s"), Some(Duration::from_secs(10)));
        assert_eq!(time("500ms"), Some(Duration::from_millis(500)));
        assert_eq!((time("2min"), time("3")), (Some(Duration::from_secs(120)), Some(Duration::from_secs(3))));
        assert_eq!([time("0s"), time("-1s"), time("inf"), time("x")], [None; 4]);
        let rate = |text: &str| bitrate(text).ok();
        assert_eq!([rate("20M"), rate("800k"), rate("1500000")], [Some(20_000_000), Some(800_000), Some(1_500_000)]);
        assert_eq!([rate("1k"), rate("M"), rate("NaN")], [None; 3]);
    }
}
