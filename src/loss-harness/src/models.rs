//! The networks on which loss control is compared: `models/networks.json`, which says where each comes from.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use lumen_core::netsim::{Bottleneck, LinkConfig, Loss, Order, Outages, Reordering};
use serde::Deserialize;

/// A network, the stream that goes over it, and by when frames must be there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// One word or two.
    pub name: String,
    /// Where its figures come from.
    pub source: String,
    /// From the host to the client.
    pub delay_ms: f64,
    /// Added to the delay, evenly distributed.
    pub jitter_ms: f64,
    /// Rate of the bottleneck.
    pub rate_mbps: f64,
    /// Its queue.
    pub queue_kb: f64,
    /// What is lost behind it.
    pub loss: ModelLoss,
    /// Times in which nothing gets through.
    #[serde(default)]
    pub outages: Option<ModelOutages>,
    /// Share of packets that come late, and by how much.
    #[serde(default)]
    pub reordering: Option<ModelReordering>,
    /// Traffic of others in the same queue.
    #[serde(default)]
    pub cross: Option<Cross>,
    /// The stream.
    pub video_mbps: f64,
    /// Frames per second.
    pub fps: f64,
    /// From the capture of a frame until it must be complete.
    pub deadline_ms: f64,
}

/// A loss model by the figures that measurements give.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ModelLoss {
    /// Share of packets.
    Independent(f64),
    /// Share of packets, and mean burst.
    Bursts {
        /// Share of packets.
        rate: f64,
        /// Packets.
        length: f64,
    },
    /// Mean stay in each state, in packets, and loss rates there.
    TwoStates {
        /// Packets.
        good_packets: f64,
        /// Packets.
        bad_packets: f64,
        /// Share of packets.
        good_loss: f64,
        /// Share of packets.
        bad_loss: f64,
    },
}

/// Times in which nothing gets through.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelOutages {
    /// Mean time between them.
    pub every_s: f64,
    /// Mean length.
    pub length_ms: f64,
}

/// Packets that come late.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelReordering {
    /// Share of packets.
    pub share: f64,
    /// By how much.
    pub by_ms: f64,
}

/// Traffic that comes and goes: on and off for exponentially distributed times.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cross {
    /// While on.
    pub mbps: f64,
    /// Mean.
    pub on_ms: f64,
    /// Mean.
    pub off_ms: f64,
}

impl Model {
    /// The published set.
    ///
    /// # Errors
    /// If the file that the program was built with is broken.
    pub fn published() -> anyhow::Result<Vec<Self>> {
        Self::parse(include_str!("../models/networks.json")).context("models/networks.json")
    }

    /// Models from JSON.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub fn parse(text: &str) -> anyhow::Result<Vec<Self>> {
        let models: Vec<Self> = serde_json::from_str(text)?;
        for model in &models {
            ensure!(model.rate_mbps > model.video_mbps, "{}: the stream does not fit through the link", model.name);
            ensure!(model.deadline_ms > model.delay_ms, "{}: no frame can be in time", model.name);
        }
        Ok(models)
    }

    /// The same network with the tightest deadline that makes sense: two frames at 60 Hz after delay and jitter. A request and its
    /// answer fit into that only on short paths.
    pub fn tightened(&self) -> Self {
        Self { deadline_ms: (self.delay_ms + self.jitter_ms + 33.0).min(self.deadline_ms), ..self.clone() }
    }

    /// The way of the video.
    pub fn link(&self) -> LinkConfig {
        LinkConfig {
            bottleneck: Some(Bottleneck {
                bits_per_second: (self.rate_mbps * 1e6) as u64,
                queue_bytes: (self.queue_kb * 1e3) as usize,
            }),
            ..self.way_back()
        }
    }

    /// The way of the reports: the same without the queue.
    pub fn way_back(&self) -> LinkConfig {
        LinkConfig {
            loss: match self.loss {
                ModelLoss::Independent(rate) => Loss::Independent(rate),
                ModelLoss::Bursts { rate, length } => Loss::Bursts { rate, length },
                ModelLoss::TwoStates { good_packets, bad_packets, good_loss, bad_loss } => Loss::TwoStates {
                    to_bad: 1.0 / good_packets,
                    to_good: 1.0 / bad_packets,
                    good: good_loss,
                    bad: bad_loss,
                },
            },
            outages: self
                .outages
                .map(|outages| Outages { every: seconds(outages.every_s), length: millis(outages.length_ms) }),
            jitter: millis(self.jitter_ms),
            order: Order::Kept,
            reordering: self.reordering.map(|late| Reordering { share: late.share, by: millis(late.by_ms) }),
            ..LinkConfig::clean(millis(self.delay_ms))
        }
    }

    /// From one frame to the next.
    pub fn interval(&self) -> Duration {
        seconds(1.0 / self.fps)
    }

    /// From capture until a frame must be complete.
    pub fn deadline(&self) -> Duration {
        millis(self.deadline_ms)
    }
}

fn seconds(value: f64) -> Duration {
    Duration::from_micros((value * 1e6) as u64)
}

fn millis(value: f64) -> Duration {
    seconds(value / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_models_are_whole_and_say_where_they_come_from() {
        let models = Model::published().expect("valid");
        assert!(models.len() >= 8 && models.iter().all(|model| model.source.len() > 30));
    }

    #[test]
    fn a_stream_that_does_not_fit_is_refused() {
        let text = include_str!("../models/networks.json").replacen("\"rate_mbps\": ", "\"rate_mbps\": 0.0", 1);
        assert!(Model::parse(&text).expect_err("too slow").to_string().contains("does not fit"));
    }
}
