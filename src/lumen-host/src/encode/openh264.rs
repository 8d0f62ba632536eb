//! H.264 by the built-in OpenH264: the floor that is always there. 4:2:0 in 8 bits, up to 3840×2160.
//!
//! Its own rate control holds a rate only by skipping pictures, so it is switched off and [`RateControl`] chooses the
//! quantiser of each picture. It cannot leave out references by number: invalidation is answered with a key frame.

use core::ffi::c_int;
use core::{ptr, slice};

use lumen_ffmpeg::{PixelFormat, PlanesMut};
use openh264_sys2 as sys;

use super::annexb;
use super::convert::convert;
use super::rate::{MAX_QP, PictureKind, RateControl};
use super::{
    AccessUnit, BitDepth, Chroma, Codec, EncodeError, Encoder, EncoderConfig, FrameIndex, FrameKind, FrameRequest,
    PictureId, Range,
};
use crate::frame::Frame;

const NAME: &str = "openh264";

/// Largest side and largest other side that the library takes.
pub(super) const MAX_SIZE: (u32, u32) = (3840, 2160);

/// Every so many lines of luma are compared to see how much a picture changed.
const ACTIVITY_LINES: usize = 8;

/// See the module.
pub struct OpenH264Encoder {
    library: Library,
    config: EncoderConfig,
    rate: RateControl,
    planes: [Vec<u8>; 3],
    /// The lines of the last coded picture that activity is measured against.
    compared: Vec<u8>,
    drawn: Option<PictureId>,
    unit: Vec<u8>,
    needs_key: bool,
}

impl OpenH264Encoder {
    /// Opens the encoder.
    ///
    /// # Errors
    /// [`EncodeError::Unsupported`] for what it cannot do.
    pub fn open(config: &EncoderConfig) -> Result<Self, EncodeError> {
        let unsupported = |reason: String| EncodeError::Unsupported { encoder: NAME, reason };
        let (width, height) = (config.mode.width, config.mode.height);
        if config.codec != Codec::H264 || config.depth != BitDepth::Eight || config.chroma != Chroma::Yuv420 {
            return Err(unsupported("it writes H.264 in 8 bits, 4:2:0, and nothing else".to_owned()));
        }
        if width.max(height) > MAX_SIZE.0 || width.min(height) > MAX_SIZE.1 || width.min(height) < 16 {
            return Err(unsupported(format!("{width}x{height} is not within 16x16 and {}x{}", MAX_SIZE.0, MAX_SIZE.1)));
        }
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return Err(unsupported(format!("{width}x{height} has an odd side")));
        }
        let fps = config.mode.fps();
        let planes = [0, 1, 2].map(|plane| {
            let (line, lines) = PixelFormat::Yuv420.plane_size(plane, width as usize, height as usize);
            vec![0; line * lines]
        });
        Ok(Self {
            library: Library::open(config)?,
            rate: RateControl::new(config.capped_bitrate_bps(), fps, u64::from(width) * u64::from(height)),
            config: config.clone(),
            planes,
            compared: Vec::new(),
            drawn: None,
            unit: Vec::new(),
            needs_key: true,
        })
    }

    /// Converts the frame unless it is the one that lies there already, and returns how much changed since the last
    /// picture: 0 for nothing, about 1 for lively movement.
    fn draw(&mut self, frame: &Frame) -> Result<f64, EncodeError> {
        let id = PictureId::of(frame);
        if self.drawn.replace(id) == Some(id) {
            return Ok(0.0);
        }
        let width = self.config.mode.width as usize;
        let [y, u, v] = &mut self.planes;
        let planes = PlanesMut { planes: [y, u, v], strides: [width, width / 2, width / 2] };
        let matrix = self.config.effective_matrix();
        convert(&frame.image, PixelFormat::Yuv420, matrix, self.config.range, planes)
            .map_err(|error| EncodeError::Failed { encoder: NAME, reason: error.to_string() })?;
        let lines = self.planes[0].chunks_exact(width).step_by(ACTIVITY_LINES);
        let mut difference = 0u64;
        let samples = lines.len() * width;
        if self.compared.len() == samples {
            for (new, old) in lines.zip(self.compared.chunks_exact_mut(width)) {
                difference += new.iter().zip(&*old).map(|(new, old)| u32::from(new.abs_diff(*old))).sum::<u32>() as u64;
                old.copy_from_slice(new);
            }
        } else {
            self.compared.clear();
            lines.for_each(|line| self.compared.extend_from_slice(line));
        }
        Ok(difference as f64 / samples.max(1) as f64 / 8.0)
    }
}

impl Encoder for OpenH264Encoder {
    fn name(&self) -> &'static str {
        NAME
    }

    fn encode(
        &mut self,
        frame: &Frame,
        _index: FrameIndex,
        request: FrameRequest,
    ) -> Result<Option<AccessUnit<'_>>, EncodeError> {
        let activity = self.draw(frame)?;
        let mut kind = match request {
            FrameRequest::Normal if !self.needs_key => PictureKind::Predicted,
            _ => PictureKind::Key,
        };
        let mut qp = self.rate.choose(kind, activity);
        loop {
            self.library.encode(&self.config, &self.planes, qp, kind, &mut self.unit)?;
            self.rate.report(kind, activity, qp, self.unit.len());
            if self.unit.len() <= self.config.max_frame_bytes {
                break;
            }
            // The encoder now refers to a picture that the client will not get, so only a key picture can follow.
            self.needs_key = true;
            kind = PictureKind::Key;
            if qp == MAX_QP {
                return Ok(None);
            }
            qp = self.rate.choose(kind, activity).max(qp + 6).min(MAX_QP);
        }
        self.needs_key = false;
        let kind = match kind {
            PictureKind::Key => FrameKind::Idr,
            PictureKind::Predicted => FrameKind::P,
        };
        Ok(Some(AccessUnit { data: &self.unit, kind }))
    }

    fn set_bitrate(&mut self, bitrate_bps: u64) -> Result<(), EncodeError> {
        self.config.bitrate_bps = bitrate_bps;
        self.rate.set_bitrate(self.config.capped_bitrate_bps(), self.config.mode.fps());
        Ok(())
    }
}

/// The library's encoder object.
struct Library {
    encoder: *mut sys::ISVCEncoder,
    params: Box<sys::SEncParamExt>,
    info: Box<sys::SFrameBSInfo>,
    pictures: i64,
}

// SAFETY: the encoder is owned by this value alone; it may be used from any one thread at a time.
unsafe impl Send for Library {}

impl Library {
    fn open(config: &EncoderConfig) -> Result<Self, EncodeError> {
        let mut encoder = ptr::null_mut();
        // SAFETY: the pointer is a valid place for the library to write to.
        let code = unsafe { sys::source::APILoader::WelsCreateSVCEncoder(&raw mut encoder) };
        if code != 0 || encoder.is_null() {
            return Err(failed("it could not be created", code));
        }
        let mut library = Self { encoder, params: Box::default(), info: Box::default(), pictures: 0 };
        let mut level: c_int = sys::WELS_LOG_QUIET;
        library.set_option(sys::ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast())?;
        let (encoder, params) = (library.encoder, &raw mut *library.params);
        // SAFETY: the encoder is live and `params` a whole parameter structure.
        let code = unsafe { call((**encoder).GetDefaultParams, |get| get(encoder, params)) };
        check("it has no default parameters", code)?;
        library.configure(config);
        let (encoder, params) = (library.encoder, &raw const *library.params);
        // SAFETY: as above.
        let code = unsafe { call((**encoder).InitializeExt, |initialize| initialize(encoder, params)) };
        if code != 0 {
            let reason = format!("it refuses {}x{} (error {code})", config.mode.width, config.mode.height);
            return Err(EncodeError::Unsupported { encoder: NAME, reason });
        }
        Ok(library)
    }

    fn configure(&mut self, config: &EncoderConfig) {
        let (width, height) = (config.mode.width as c_int, config.mode.height as c_int);
        // Not used for control, but checked against the level.
        let bitrate = 1_000_000;
        let params = &mut *self.params;
        params.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
        params.iPicWidth = width;
        params.iPicHeight = height;
        params.iTargetBitrate = bitrate;
        params.iMaxBitrate = 0;
        params.iRCMode = sys::RC_OFF_MODE;
        params.fMaxFrameRate = config.mode.fps() as f32;
        params.iTemporalLayerNum = 1;
        params.iSpatialLayerNum = 1;
        params.iComplexityMode = sys::LOW_COMPLEXITY;
        params.uiIntraPeriod = 0;
        params.iNumRefFrame = 1;
        params.eSpsPpsIdStrategy = sys::CONSTANT_ID;
        params.bEnableFrameSkip = false;
        params.bEnableLongTermReference = false;
        params.bEnableSceneChangeDetect = false;
        params.bEnableBackgroundDetection = false;
        params.bEnableAdaptiveQuant = false;
        params.bEnableDenoise = false;
        params.iEntropyCodingModeFlag = 1;
        params.iLoopFilterDisableIdc = 0;
        let slices = config.slices.max(1);
        params.iMultipleThreadIdc = super::threads_for(slices).into();
        let colour = config.colour();
        let layer = &mut params.sSpatialLayers[0];
        layer.iVideoWidth = width;
        layer.iVideoHeight = height;
        layer.fFrameRate = config.mode.fps() as f32;
        layer.iSpatialBitrate = bitrate;
        layer.iMaxSpatialBitrate = 0;
        layer.uiProfileIdc = sys::PRO_HIGH;
        layer.sSliceArgument.uiSliceMode = if slices == 1 { sys::SM_SINGLE_SLICE } else { sys::SM_FIXEDSLCNUM_SLICE };
        layer.sSliceArgument.uiSliceNum = slices.into();
        layer.bVideoSignalTypePresent = true;
        layer.uiVideoFormat = 5;
        layer.bFullRange = config.range == Range::Full;
        layer.bColorDescriptionPresent = true;
        layer.uiColorPrimaries = colour.primaries;
        layer.uiTransferCharacteristics = colour.transfer;
        layer.uiColorMatrix = colour.matrix;
    }

    fn encode(
        &mut self,
        config: &EncoderConfig,
        planes: &[Vec<u8>; 3],
        qp: u8,
        kind: PictureKind,
        unit: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.params.sSpatialLayers[0].iDLayerQp = qp.into();
        let params = &raw mut *self.params;
        self.set_option(sys::ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, params.cast())?;
        let encoder = self.encoder;
        if kind == PictureKind::Key {
            // SAFETY: the encoder is live and initialised.
            let code = unsafe { call((**encoder).ForceIntraFrame, |force| force(encoder, true)) };
            check("it refuses a key picture", code)?;
        }
        let (width, height) = (config.mode.width as c_int, config.mode.height as c_int);
        let millis = self.pictures as f64 * 1000.0 / config.mode.fps().max(1.0);
        self.pictures += 1;
        let mut source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420 as c_int,
            iStride: [width, width / 2, width / 2, 0],
            // The library only reads the planes, though its type does not say so.
            pData: [
                planes[0].as_ptr().cast_mut(),
                planes[1].as_ptr().cast_mut(),
                planes[2].as_ptr().cast_mut(),
                ptr::null_mut(),
            ],
            iPicWidth: width,
            iPicHeight: height,
            uiTimeStamp: millis as i64,
            ..Default::default()
        };
        let info = &raw mut *self.info;
        // SAFETY: the encoder is live and initialised for this size; the planes are as large as size and strides say
        // and outlive the call; `info` is a whole structure that the library fills.
        let code = unsafe { call((**encoder).EncodeFrame, |encode| encode(encoder, &raw mut source, info)) };
        check("it could not encode a picture", code)?;
        self.collect(unit);
        let first = annexb::nal_units(Codec::H264, unit).next();
        match (kind, first) {
            (PictureKind::Key, Some((annexb::NalKind::ParameterSet, _)))
            | (PictureKind::Predicted, Some((annexb::NalKind::Slice, _))) => Ok(()),
            _ => Err(failed("it wrote another kind of picture than was asked for", self.info.eFrameType)),
        }
    }

    /// Copies what was encoded.
    fn collect(&self, unit: &mut Vec<u8>) {
        unit.clear();
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if count == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: the library says that so many lengths are there, and keeps them until the next picture.
            let lengths = unsafe { slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let bytes = lengths.iter().map(|length| usize::try_from(*length).unwrap_or(0)).sum();
            // SAFETY: a layer's NAL units lie one after the other in its buffer, until the next picture.
            unit.extend_from_slice(unsafe { slice::from_raw_parts(layer.pBsBuf, bytes) });
        }
    }

    fn set_option(&mut self, option: sys::ENCODER_OPTION, value: *mut core::ffi::c_void) -> Result<(), EncodeError> {
        let encoder = self.encoder;
        // SAFETY: the encoder is live, and callers pass the type that the option takes.
        let code = unsafe { call((**encoder).SetOption, |set| set(encoder, option, value)) };
        check("it refuses an option", code)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let encoder = self.encoder;
        // SAFETY: the encoder is owned and not used afterwards; uninitialising one that never was initialised is
        // allowed.
        unsafe {
            call((**encoder).Uninitialize, |uninitialize| uninitialize(encoder));
            sys::source::APILoader::WelsDestroySVCEncoder(encoder);
        }
    }
}

/// Calls an entry of the library's table; a missing entry is an error like any other.
fn call<F>(function: Option<F>, with: impl FnOnce(F) -> c_int) -> c_int {
    function.map_or(-1, with)
}

fn check(what: &str, code: c_int) -> Result<(), EncodeError> {
    if code == 0 { Ok(()) } else { Err(failed(what, code)) }
}

fn failed(what: &str, code: c_int) -> EncodeError {
    EncodeError::Failed { encoder: NAME, reason: format!("{what} (code {code})") }
}
