//! H.264, HEVC and AV1 by the encoder of NVIDIA's GPUs (NVENC), whose driver is loaded at run time.
//!
//! Pictures come from system memory: they are converted into a buffer of the driver's, which takes them to the GPU. Each
//! picture is encoded before the call returns. A loss is answered without a key frame: the encoder is told which
//! pictures it must not refer to any more, as long as it holds one that the client has. A new bitrate is taken over
//! with the next picture.

use lumen_ffmpeg::{PixelFormat, PlanesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod api;
mod config;
mod error;
mod picture;
mod references;
mod session;

use self::config::Plan;
use self::error::NvencError;
use self::picture::Picture;
use self::references::{References, Repair};
use self::session::{Opened, Session};
use super::{
    AccessUnit, Codec, EncodeError, Encoder, EncoderConfig, FrameIndex, FrameKind, FrameRequest, PictureId, annexb,
};
use crate::frame::Frame;

const NAME: &str = "nvenc";

/// Times that a picture too large to be protected is encoded again at half the rate.
const MAX_SHRINKS: u32 = 4;

/// How much work NVENC puts into a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NvencPreset {
    /// Least.
    #[default]
    P1,
    /// Little.
    P2,
    /// Less than balanced.
    P3,
    /// Balanced.
    P4,
    /// More than balanced.
    P5,
    /// Much.
    P6,
    /// Most.
    P7,
}

/// What the operator prefers of NVENC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NvencOptions {
    /// Effort.
    pub preset: NvencPreset,
    /// Renews the picture bit by bit all the time, so that what was lost heals without a key frame, at some cost of
    /// quality.
    pub intra_refresh: bool,
}

/// What a GPU can do for one codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Capabilities {
    /// Least width and height.
    min_size: (u32, u32),
    /// Most.
    max_size: (u32, u32),
    /// 10 bits per component.
    ten_bits: bool,
    /// Chroma of full size.
    yuv444: bool,
    /// References can be given up by number.
    invalidation: bool,
    /// Pictures can be renewed bit by bit.
    intra_refresh: bool,
    /// The buffer that the rate is measured over can be chosen.
    buffer_size: bool,
}

/// See the module.
pub struct NvencEncoder {
    session: Session,
    config: EncoderConfig,
    caps: Capabilities,
    gpu: String,
    version: (u32, u32),
    /// The bitrate that the encoder runs at, in bits per second.
    running_bps: u64,
    references: References,
    /// Time stamp of the next picture.
    stamp: u64,
    picture: Picture,
    drawn: Option<PictureId>,
    unit: Vec<u8>,
    needs_key: bool,
}

impl NvencEncoder {
    /// Opens an encoder on the first GPU that has one.
    ///
    /// # Errors
    /// [`EncodeError::Absent`] without an NVIDIA driver; [`EncodeError::Unsupported`] for what driver or GPU cannot do.
    pub fn open(config: &EncoderConfig, options: NvencOptions) -> Result<Self, EncodeError> {
        Self::try_open(config, options).map_err(NvencError::on_opening)
    }

    fn try_open(config: &EncoderConfig, options: NvencOptions) -> Result<Self, NvencError> {
        let opened = Opened::new()?;
        let caps = opened.capabilities(config.codec)?;
        let plan = Plan::new(config, &caps, opened.gpu())?;
        let (gpu, version) = (opened.gpu().to_owned(), opened.version());
        Ok(Self {
            session: Session::start(opened, config, &caps, plan, options)?,
            config: config.clone(),
            caps,
            gpu,
            version,
            running_bps: config.capped_bitrate_bps(),
            references: References::new(plan.references as usize),
            stamp: 0,
            picture: Picture::new(config),
            drawn: None,
            unit: Vec::new(),
            needs_key: true,
        })
    }

    /// The largest picture: width, height.
    pub fn max_size(&self) -> (u32, u32) {
        self.caps.max_size
    }

    /// Which GPU and driver encode.
    pub fn note(&self) -> String {
        format!("{}, driver with NVENC {}.{}", self.gpu, self.version.0, self.version.1)
    }

    fn run_at(&mut self, bitrate_bps: u64) -> Result<(), NvencError> {
        if bitrate_bps == self.running_bps {
            return Ok(());
        }
        self.session.set_rate(&self.config, &self.caps, bitrate_bps)?;
        self.running_bps = bitrate_bps;
        Ok(())
    }

    fn draw(&mut self, frame: &Frame) -> Result<(), NvencError> {
        let id = PictureId::of(frame);
        if self.drawn == Some(id) {
            return Ok(());
        }
        self.drawn = None;
        let (picture, config) = (&mut self.picture, &self.config);
        self.session
            .draw(|to, pitch| picture.draw(&frame.image, config, to, pitch))?
            .map_err(|error| NvencError::Picture(error.to_string()))?;
        self.drawn = Some(id);
        Ok(())
    }

    /// Encodes the picture that was drawn into `unit`; says whether it is a key picture, and its time stamp.
    fn run(&mut self, key: bool) -> Result<(bool, u64), NvencError> {
        let stamp = self.stamp;
        self.stamp += 1;
        let (unit, codec) = (&mut self.unit, self.config.codec);
        unit.clear();
        let coded = self.session.encode(stamp, key, |data| match codec {
            Codec::Av1 => unit.extend_from_slice(data),
            codec => annexb::append_cleaned(codec, data, unit),
        })?;
        if key && !coded.key {
            return Err(NvencError::Broken("it wrote no key picture when it was asked for one"));
        }
        self.needs_key = false;
        Ok((coded.key, stamp))
    }

    fn try_encode(
        &mut self,
        frame: &Frame,
        index: FrameIndex,
        request: FrameRequest,
    ) -> Result<Option<FrameKind>, NvencError> {
        self.run_at(self.config.capped_bitrate_bps())?;
        self.draw(frame)?;
        let mut key = self.needs_key || request == FrameRequest::Idr;
        let mut repairs = false;
        if let (false, FrameRequest::Invalidate { first, last }) = (key, request) {
            match self.references.lost(first, last) {
                Repair::Done => {}
                Repair::Key => key = true,
                Repair::Invalidate(stamps) => {
                    repairs = true;
                    stamps.into_iter().try_for_each(|stamp| self.session.invalidate(stamp))?;
                }
            }
        }
        let mut coded = self.run(key)?;
        let mut shrinks = 0;
        while self.unit.len() > self.config.max_frame_bytes {
            // The encoder now refers to a picture that the client will not get, so only a key picture can follow.
            self.needs_key = true;
            if shrinks == MAX_SHRINKS {
                return Ok(None);
            }
            shrinks += 1;
            self.run_at(self.running_bps / 2)?;
            self.draw(frame)?;
            coded = self.run(true)?;
        }
        Ok(Some(match coded {
            (true, stamp) => {
                self.references.key(index, stamp);
                FrameKind::Idr
            }
            (false, stamp) if repairs => {
                self.references.repaired(index, stamp);
                FrameKind::AfterInvalidation
            }
            (false, stamp) => {
                self.references.predicted(index, stamp);
                FrameKind::P
            }
        }))
    }
}

impl Encoder for NvencEncoder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode(
        &mut self,
        frame: &Frame,
        index: FrameIndex,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit<'_>>, EncodeError> {
        let kind = self.try_encode(frame, index, request).map_err(NvencError::in_use)?;
        Ok(kind.map(|kind| AccessUnit { data: &self.unit, kind }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u64) -> Result<(), EncodeError> {
        self.config.bitrate_bps = bitrate_bps;
        Ok(())
    }
}
