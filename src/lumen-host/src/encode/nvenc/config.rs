//! What NVENC is told: from an [`EncoderConfig`] to the structures of its interface.
//!
//! Ultra-low-latency tuning, a constant rate over a buffer of one picture, no B pictures, key pictures on request only.

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;

use super::error::NvencError;
use super::{Capabilities, NvencOptions, NvencPreset};
use crate::encode::{BitDepth, Chroma, Codec, Colour, EncoderConfig, Range};

/// Reference pictures where the client does not say how many it can hold.
const REFERENCES: u32 = 5;

/// Pictures in which an intra refresh goes over the whole picture.
const REFRESH_PICTURES: u32 = 60;

/// What is put where for one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) codec: sys::GUID,
    pub(super) profile: sys::GUID,
    pub(super) format: sys::NV_ENC_BUFFER_FORMAT,
    /// Pictures that the encoder holds to refer to.
    pub(super) references: u32,
}

/// The interface's name of a codec.
pub(super) fn codec_guid(codec: Codec) -> sys::GUID {
    match codec {
        Codec::H264 => sys::NV_ENC_CODEC_H264_GUID,
        Codec::Hevc => sys::NV_ENC_CODEC_HEVC_GUID,
        Codec::Av1 => sys::NV_ENC_CODEC_AV1_GUID,
    }
}

impl Plan {
    /// What `config` needs, if the GPU can do it.
    ///
    /// # Errors
    /// [`NvencError::Unsupported`] with what it cannot do.
    pub(super) fn new(config: &EncoderConfig, caps: &Capabilities, gpu: &str) -> Result<Self, NvencError> {
        let unsupported = |what: String| Err(NvencError::Unsupported { gpu: gpu.to_owned(), what });
        let (width, height) = (config.mode.width, config.mode.height);
        let profile = match (config.codec, config.depth, config.chroma) {
            (Codec::H264, BitDepth::Eight, Chroma::Yuv420) => sys::NV_ENC_H264_PROFILE_HIGH_GUID,
            (Codec::H264, BitDepth::Eight, Chroma::Yuv444) => sys::NV_ENC_H264_PROFILE_HIGH_444_GUID,
            (Codec::H264, BitDepth::Ten, _) => return unsupported("H.264 in 10 bits".to_owned()),
            (Codec::Hevc, BitDepth::Eight, Chroma::Yuv420) => sys::NV_ENC_HEVC_PROFILE_MAIN_GUID,
            (Codec::Hevc, BitDepth::Ten, Chroma::Yuv420) => sys::NV_ENC_HEVC_PROFILE_MAIN10_GUID,
            (Codec::Hevc, _, Chroma::Yuv444) => sys::NV_ENC_HEVC_PROFILE_FREXT_GUID,
            (Codec::Av1, _, Chroma::Yuv420) => sys::NV_ENC_AV1_PROFILE_MAIN_GUID,
            (Codec::Av1, _, Chroma::Yuv444) => return unsupported("AV1 in 4:4:4".to_owned()),
        };
        let format = match (config.depth, config.chroma) {
            (BitDepth::Eight, Chroma::Yuv420) => sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_NV12,
            (BitDepth::Eight, Chroma::Yuv444) => sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV444,
            (BitDepth::Ten, Chroma::Yuv420) => sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV420_10BIT,
            (BitDepth::Ten, Chroma::Yuv444) => sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV444_10BIT,
        };
        if config.depth == BitDepth::Ten && !caps.ten_bits {
            return unsupported(format!("{:?} in 10 bits", config.codec));
        }
        if config.chroma == Chroma::Yuv444 && !caps.yuv444 {
            return unsupported(format!("{:?} in 4:4:4", config.codec));
        }
        if width < caps.min_size.0 || height < caps.min_size.1 || width > caps.max_size.0 || height > caps.max_size.1 {
            let ((least_w, least_h), (most_w, most_h)) = (caps.min_size, caps.max_size);
            return unsupported(format!("{width}x{height}: {least_w}x{least_h} to {most_w}x{most_h} is what it takes"));
        }
        if !width.is_multiple_of(2) || !height.is_multiple_of(2) {
            return unsupported(format!("{width}x{height}, which has an odd side"));
        }
        let references = match config.max_reference_frames {
            0 => REFERENCES,
            most => u32::from(most).min(REFERENCES),
        };
        let references = if caps.invalidation { references } else { 1 };
        Ok(Self { codec: codec_guid(config.codec), profile, format, references })
    }
}

/// The interface's name of a preset.
pub(super) fn preset_guid(preset: NvencPreset) -> sys::GUID {
    match preset {
        NvencPreset::P1 => sys::NV_ENC_PRESET_P1_GUID,
        NvencPreset::P2 => sys::NV_ENC_PRESET_P2_GUID,
        NvencPreset::P3 => sys::NV_ENC_PRESET_P3_GUID,
        NvencPreset::P4 => sys::NV_ENC_PRESET_P4_GUID,
        NvencPreset::P5 => sys::NV_ENC_PRESET_P5_GUID,
        NvencPreset::P6 => sys::NV_ENC_PRESET_P6_GUID,
        NvencPreset::P7 => sys::NV_ENC_PRESET_P7_GUID,
    }
}

/// Sets the rate in what is told.
pub(super) fn set_rate(encode: &mut sys::NV_ENC_CONFIG, config: &EncoderConfig, caps: &Capabilities, rate: u64) {
    let rate = u32::try_from(rate).unwrap_or(u32::MAX);
    let picture = (f64::from(rate) / config.mode.fps().max(1.0)).ceil() as u32;
    let control = &mut encode.rcParams;
    control.rateControlMode = sys::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR;
    control.averageBitRate = rate;
    control.maxBitRate = rate;
    if caps.buffer_size {
        control.vbvBufferSize = picture;
        control.vbvInitialDelay = picture;
    }
}

/// Changes the preset's configuration into what `config` asks for.
pub(super) fn fill(
    encode: &mut sys::NV_ENC_CONFIG,
    config: &EncoderConfig,
    caps: &Capabilities,
    plan: &Plan,
    options: NvencOptions,
) {
    encode.version = sys::NV_ENC_CONFIG_VER;
    encode.profileGUID = plan.profile;
    encode.gopLength = sys::NVENC_INFINITE_GOPLENGTH;
    encode.frameIntervalP = 1;
    set_rate(encode, config, caps, config.capped_bitrate_bps());
    let control = &mut encode.rcParams;
    control.multiPass = sys::NV_ENC_MULTI_PASS::NV_ENC_TWO_PASS_QUARTER_RESOLUTION;
    control.lowDelayKeyFrameScale = 1;
    control.set_zeroReorderDelay(1);
    control.set_enableLookahead(0);
    let refresh = options.intra_refresh && caps.intra_refresh;
    match config.codec {
        Codec::H264 => h264(encode, config, plan, refresh),
        Codec::Hevc => hevc(encode, config, plan, refresh),
        Codec::Av1 => av1(encode, config, plan, refresh),
    }
}

fn h264(encode: &mut sys::NV_ENC_CONFIG, config: &EncoderConfig, plan: &Plan, refresh: bool) {
    // SAFETY: the driver filled this member, since it was asked for H.264; each is plain numbers.
    let h264 = unsafe { &mut encode.encodeCodecConfig.h264Config };
    h264.idrPeriod = sys::NVENC_INFINITE_GOPLENGTH;
    h264.set_repeatSPSPPS(1);
    h264.set_outputAUD(0);
    h264.entropyCodingMode = sys::NV_ENC_H264_ENTROPY_CODING_MODE::NV_ENC_H264_ENTROPY_CODING_MODE_CABAC;
    h264.maxNumRefFrames = plan.references;
    // A number of slices.
    h264.sliceMode = 3;
    h264.sliceModeData = config.slices.max(1).into();
    h264.chromaFormatIDC = chroma_format(config.chroma);
    if refresh {
        h264.set_enableIntraRefresh(1);
        h264.intraRefreshPeriod = REFRESH_PICTURES;
        h264.intraRefreshCnt = REFRESH_PICTURES - 1;
    }
    vui(&mut h264.h264VUIParameters, config);
}

fn hevc(encode: &mut sys::NV_ENC_CONFIG, config: &EncoderConfig, plan: &Plan, refresh: bool) {
    // SAFETY: as for H.264.
    let hevc = unsafe { &mut encode.encodeCodecConfig.hevcConfig };
    hevc.idrPeriod = sys::NVENC_INFINITE_GOPLENGTH;
    hevc.set_repeatSPSPPS(1);
    hevc.set_outputAUD(0);
    hevc.maxNumRefFramesInDPB = plan.references;
    hevc.sliceMode = 3;
    hevc.sliceModeData = config.slices.max(1).into();
    hevc.set_chromaFormatIDC(chroma_format(config.chroma));
    hevc.set_pixelBitDepthMinus8(depth_minus_8(config.depth));
    if refresh {
        hevc.set_enableIntraRefresh(1);
        hevc.intraRefreshPeriod = REFRESH_PICTURES;
        hevc.intraRefreshCnt = REFRESH_PICTURES - 1;
    }
    vui(&mut hevc.hevcVUIParameters, config);
}

fn av1(encode: &mut sys::NV_ENC_CONFIG, config: &EncoderConfig, plan: &Plan, refresh: bool) {
    // SAFETY: as for H.264.
    let av1 = unsafe { &mut encode.encodeCodecConfig.av1Config };
    av1.idrPeriod = sys::NVENC_INFINITE_GOPLENGTH;
    av1.set_repeatSeqHdr(1);
    av1.set_outputAnnexBFormat(0);
    av1.maxNumRefFramesInDPB = plan.references;
    av1.numTileColumns = 1;
    // Tiles have the place of slices: the power of two of rows that is nearest from below.
    av1.numTileRows = 1 << config.slices.max(1).ilog2();
    av1.set_chromaFormatIDC(chroma_format(config.chroma));
    av1.set_inputPixelBitDepthMinus8(depth_minus_8(config.depth));
    av1.set_pixelBitDepthMinus8(depth_minus_8(config.depth));
    if refresh {
        av1.set_enableIntraRefresh(1);
        av1.intraRefreshPeriod = REFRESH_PICTURES;
        av1.intraRefreshCnt = REFRESH_PICTURES - 1;
    }
    let points = points(config.colour());
    (av1.colorPrimaries, av1.transferCharacteristics, av1.matrixCoefficients) = points;
    av1.colorRange = u32::from(config.range == Range::Full);
    // Vertical: the chroma sample lies beside the luma samples, as for the others.
    av1.chromaSamplePosition = 1;
}

fn chroma_format(chroma: Chroma) -> u32 {
    match chroma {
        Chroma::Yuv420 => 1,
        Chroma::Yuv444 => 3,
    }
}

fn depth_minus_8(depth: BitDepth) -> u32 {
    match depth {
        BitDepth::Eight => 0,
        BitDepth::Ten => 2,
    }
}

fn vui(vui: &mut sys::NV_ENC_CONFIG_H264_VUI_PARAMETERS, config: &EncoderConfig) {
    vui.videoSignalTypePresentFlag = 1;
    vui.videoFormat = sys::NV_ENC_VUI_VIDEO_FORMAT::NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED;
    vui.videoFullRangeFlag = u32::from(config.range == Range::Full);
    vui.colourDescriptionPresentFlag = 1;
    (vui.colourPrimaries, vui.transferCharacteristics, vui.colourMatrix) = points(config.colour());
    // Says that no picture is held back, without which decoders may.
    vui.bitstreamRestrictionFlag = 1;
}

type Points = (sys::NV_ENC_VUI_COLOR_PRIMARIES, sys::NV_ENC_VUI_TRANSFER_CHARACTERISTIC, sys::NV_ENC_VUI_MATRIX_COEFFS);

/// The code points of a stream's colours, which are three sets only.
fn points(colour: Colour) -> Points {
    use sys::{
        NV_ENC_VUI_COLOR_PRIMARIES as Primaries, NV_ENC_VUI_MATRIX_COEFFS as Matrix,
        NV_ENC_VUI_TRANSFER_CHARACTERISTIC as Transfer,
    };
    match colour.primaries {
        6 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_SMPTE170M,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_SMPTE170M,
            Matrix::NV_ENC_VUI_MATRIX_COEFFS_SMPTE170M,
        ),
        9 => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_BT2020,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT2020_10,
            Matrix::NV_ENC_VUI_MATRIX_COEFFS_BT2020_NCL,
        ),
        _ => (
            Primaries::NV_ENC_VUI_COLOR_PRIMARIES_BT709,
            Transfer::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709,
            Matrix::NV_ENC_VUI_MATRIX_COEFFS_BT709,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::Matrix;
    use crate::frame::Mode;

    const CAPS: Capabilities = Capabilities {
        min_size: (160, 64),
        max_size: (8192, 8192),
        ten_bits: true,
        yuv444: true,
        invalidation: true,
        intra_refresh: true,
        buffer_size: true,
    };

    fn config(codec: Codec, depth: BitDepth, chroma: Chroma) -> EncoderConfig {
        EncoderConfig {
            codec,
            mode: Mode::new(1920, 1080, 60),
            bitrate_bps: 30_000_000,
            depth,
            chroma,
            matrix: if depth == BitDepth::Ten { Matrix::Bt2020 } else { Matrix::Bt709 },
            range: Range::Full,
            slices: 5,
            max_reference_frames: 0,
            max_frame_bytes: usize::MAX,
        }
    }

    /// A configuration as a preset gives it, in all members alike: zeroes, but for what has no zero.
    fn filled(config: &EncoderConfig, options: NvencOptions) -> (Plan, sys::NV_ENC_CONFIG) {
        let plan = Plan::new(config, &CAPS, "a GPU").expect("it can");
        let mut preset = super::super::session::preset_config();
        // SAFETY: all zeroes, and what must not be zero is set.
        let encode = unsafe { &mut (*preset.as_mut_ptr()).presetCfg };
        fill(encode, config, &CAPS, &plan, options);
        (plan, *encode)
    }

    #[test]
    fn the_rate_is_constant_over_one_picture_and_key_pictures_come_on_request_only() {
        let config = config(Codec::H264, BitDepth::Eight, Chroma::Yuv420);
        let (_, encode) = filled(&config, NvencOptions::default());
        let control = encode.rcParams;
        assert_eq!(control.rateControlMode, sys::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR);
        assert_eq!((control.averageBitRate, control.vbvBufferSize), (30_000_000, 500_000));
        assert_eq!((encode.gopLength, encode.frameIntervalP), (u32::MAX, 1));
        // SAFETY: it is H.264.
        let h264 = unsafe { encode.encodeCodecConfig.h264Config };
        assert_eq!((h264.idrPeriod, h264.repeatSPSPPS(), h264.sliceMode, h264.sliceModeData), (u32::MAX, 1, 3, 5));
        assert_eq!((h264.maxNumRefFrames, h264.enableIntraRefresh()), (5, 0));
        assert_eq!(h264.h264VUIParameters.videoFullRangeFlag, 1);
    }

    #[test]
    fn ten_bits_and_full_chroma_reach_the_right_fields() {
        let options = NvencOptions { intra_refresh: true, ..NvencOptions::default() };
        let (plan, encode) = filled(&config(Codec::Hevc, BitDepth::Ten, Chroma::Yuv444), options);
        assert_eq!(plan.format, sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV444_10BIT);
        assert_eq!(encode.profileGUID, sys::NV_ENC_HEVC_PROFILE_FREXT_GUID);
        // SAFETY: it is HEVC.
        let hevc = unsafe { encode.encodeCodecConfig.hevcConfig };
        assert_eq!((hevc.chromaFormatIDC(), hevc.pixelBitDepthMinus8(), hevc.enableIntraRefresh()), (3, 2, 1));
        assert_eq!(hevc.hevcVUIParameters.colourMatrix as u32, 9);
        let (plan, encode) = filled(&config(Codec::Av1, BitDepth::Ten, Chroma::Yuv420), options);
        assert_eq!(plan.format, sys::NV_ENC_BUFFER_FORMAT::NV_ENC_BUFFER_FORMAT_YUV420_10BIT);
        // SAFETY: it is AV1.
        let av1 = unsafe { encode.encodeCodecConfig.av1Config };
        assert_eq!((av1.numTileRows, av1.pixelBitDepthMinus8(), av1.inputPixelBitDepthMinus8()), (4, 2, 2));
        assert_eq!((av1.matrixCoefficients as u32, av1.colorRange, av1.repeatSeqHdr()), (9, 1, 1));
    }

    #[test]
    fn what_the_gpu_cannot_do_is_refused_by_name() {
        let said = |config: &EncoderConfig, caps: &Capabilities| {
            Plan::new(config, caps, "Tesla").expect_err("it cannot").to_string()
        };
        let ten = config(Codec::Hevc, BitDepth::Ten, Chroma::Yuv420);
        assert_eq!(said(&ten, &Capabilities { ten_bits: false, ..CAPS }), "Tesla does not encode Hevc in 10 bits");
        let wide = EncoderConfig { mode: Mode::new(8194, 4320, 60), ..ten.clone() };
        assert!(said(&wide, &CAPS).contains("8194x4320"));
        assert!(said(&config(Codec::Av1, BitDepth::Eight, Chroma::Yuv444), &CAPS).contains("AV1 in 4:4:4"));
        let odd = EncoderConfig { mode: Mode::new(1921, 1080, 60), ..ten };
        assert!(said(&odd, &CAPS).contains("odd side"));
    }
}
