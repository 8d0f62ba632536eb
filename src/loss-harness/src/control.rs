//! Loss control against fixed parity and against one windowed percentage, over the published networks.

use lumen_core::loss_control::Retransmission;
use serde::Serialize;

use crate::models::Model;
use crate::statistics::Share;
use crate::stream::{Outcome, Rule, run};
use crate::table::Table;

/// Parity packets by data packets, rounded up for each frame.
const FIXED: f64 = 0.2;
/// Fewer misses than this are not compared.
const FEW: u64 = 10;
/// Loss control gets this share of what the other side spent: it may spend a little ahead, and a run is not endless.
const WITHIN: f64 = 0.99;

/// One network.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The network.
    pub model: String,
    /// 20 % for every frame.
    pub fixed: Outcome,
    /// 20 % for every frame, and what is asked for is sent again.
    pub fixed_resend: Outcome,
    /// One percentage from the second before.
    pub windowed: Outcome,
    /// Loss control without requests, at most what `fixed` spent: what a stock client can have.
    pub stock: Outcome,
    /// Loss control, at most what `fixed` spent.
    pub control: Outcome,
    /// Loss control, at most what `windowed` spent.
    pub control_as_windowed: Outcome,
}

impl Row {
    /// Share of misses that loss control avoids, against 20 % and against the windowed percentage; none where there are too
    /// few to say anything.
    pub fn gains(&self) -> [Option<f64>; 2] {
        let gain = |ours: Outcome, theirs: Outcome| {
            (theirs.missed >= FEW).then(|| 1.0 - ours.missed as f64 / theirs.missed as f64)
        };
        [gain(self.control, self.fixed), gain(self.control_as_windowed, self.windowed)]
    }

    /// Whether loss control spent no more than what it is compared with.
    pub fn within_overhead(&self) -> [bool; 2] {
        [self.control.overhead <= self.fixed.overhead, self.control_as_windowed.overhead <= self.windowed.overhead]
    }
}

/// Both deadlines.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The networks as published.
    pub usual: Vec<Row>,
    /// With deadlines so tight that requests seldom help.
    pub tight: Vec<Row>,
}

impl Row {
    /// All networks as one: each counts the same.
    fn together(rows: &[Self]) -> Self {
        let sum = |of: fn(&Self) -> Outcome| Outcome::sum(&rows.iter().map(of).collect::<Vec<_>>());
        Self {
            model: "all together".into(),
            fixed: sum(|row| row.fixed),
            fixed_resend: sum(|row| row.fixed_resend),
            windowed: sum(|row| row.windowed),
            stock: sum(|row| row.stock),
            control: sum(|row| row.control),
            control_as_windowed: sum(|row| row.control_as_windowed),
        }
    }
}

/// Compares on all networks: `runs` streams of `frames` frames for each rule.
pub fn compare(models: &[Model], frames: u32, runs: u64, seed: u64) -> Vec<Row> {
    crate::in_parallel(models, |model| {
        let stream = |rule| {
            let outcomes: Vec<_> = (0..runs).map(|number| run(model, rule, frames, seed + number)).collect();
            Outcome::sum(&outcomes)
        };
        let fixed = stream(Rule::Fixed(FIXED, Retransmission::Never));
        let windowed = stream(Rule::Windowed);
        Row {
            model: model.name.clone(),
            fixed,
            fixed_resend: stream(Rule::Fixed(FIXED, Retransmission::OnRequest)),
            windowed,
            stock: stream(Rule::PerFrame(fixed.overhead * WITHIN, Retransmission::Never)),
            control: stream(Rule::PerFrame(fixed.overhead * WITHIN, Retransmission::OnRequest)),
            control_as_windowed: stream(Rule::PerFrame(windowed.overhead * WITHIN, Retransmission::OnRequest)),
        }
    })
}

/// The networks and where their figures come from.
pub fn networks_table(models: &[Model]) -> Table {
    let mut table = Table::new(["Network", "Stream", "Deadline", "Source"]);
    for model in models {
        table.row([
            model.name.clone(),
            format!("{} Mbit/s, {} Hz", model.video_mbps, model.fps),
            format!("{} ms", model.deadline_ms),
            model.source.clone(),
        ]);
    }
    table
}

/// The comparison against each of the two.
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "Network",
        "Fixed 20 %",
        "Loss control",
        "Avoided",
        "One percentage a second",
        "Loss control within that",
        "Avoided ",
    ]);
    for row in rows.iter().chain([&Row::together(rows)]) {
        let gains = row.gains();
        let avoided = |against: usize| {
            let more = if row.within_overhead()[against] { "" } else { ", for more" };
            gains[against].map_or("—".into(), |gain| format!("{:.0} %{more}", gain * 100.0))
        };
        table.row([
            row.model.clone(),
            misses(row.fixed),
            misses(row.control),
            avoided(0),
            misses(row.windowed),
            misses(row.control_as_windowed),
            avoided(1),
        ]);
    }
    table
}

/// Which part of it does what.
pub fn parts_table(rows: &[Row]) -> Table {
    let mut table = Table::new([
        "Network",
        "Fixed 20 %",
        "and resent on request",
        "Per frame, nothing resent",
        "Per frame, and resent",
        "Resent",
        "Complete after, mean and 99 %",
    ]);
    for row in rows.iter().chain([&Row::together(rows)]) {
        table.row([
            row.model.clone(),
            misses(row.fixed),
            misses(row.fixed_resend),
            misses(row.stock),
            misses(row.control),
            format!("{:.1} %", row.control.resent * 100.0),
            format!("{:.0} and {:.0} ms", row.control.delay_ms, row.control.delay_p99_ms),
        ]);
    }
    table
}

/// Missed frames, with the interval, and the overhead.
fn misses(outcome: Outcome) -> String {
    let share = Share::of(outcome.missed, outcome.frames);
    format!("{:.2} % at {:.1} %", share.share * 100.0, outcome.overhead * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        let models = Model::published().expect("valid");
        let once = |seed| compare(&models[1..2], 400, 1, seed)[0].control;
        assert_eq!(once(1), once(1));
        assert_ne!(once(1), once(2));
    }

    #[test]
    fn on_weak_wifi_loss_control_misses_fewer_frames_for_less() {
        let models = Model::published().expect("valid");
        let model = models.into_iter().find(|model| model.name == "Wi-Fi, weak").expect("published");
        let row = &compare(&[model], 3000, 1, 1)[0];
        assert!(row.gains()[0] > Some(0.3) && row.within_overhead() == [true, true], "{row:?}");
        assert!(row.fixed.missed > 30, "{row:?}");
    }
}
