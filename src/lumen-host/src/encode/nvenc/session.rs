//! One encoder of the driver with its two buffers: each call of the interface that is made, in its order.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::ptr::{addr_of, addr_of_mut, null_mut};
use std::sync::Arc;

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;
use sys::NV_ENC_CAPS as Cap;

use super::api::{Api, NO_DEVICE, NO_SESSION};
use super::config::{self, Plan, codec_guid, preset_guid};
use super::error::{NvencError, status_name};
use super::{Capabilities, NvencOptions};
use crate::encode::{Codec, EncoderConfig};
use crate::gpu::cuda::{Context, Cuda};

/// Ultra low latency: no look-ahead, no B pictures, no picture held back.
const TUNING: sys::NV_ENC_TUNING_INFO = sys::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;

/// Flags of a key picture: FORCEIDR and OUTPUT_SPSPPS.
const KEY_FLAGS: u32 = 2 | 4;
/// The flag of the end of the stream.
const END_FLAG: u32 = 8;
/// The driver's word for a key picture.
const TYPE_IDR: u32 = 3;

/// An open encoder that was not told yet what to encode.
pub(super) struct Opened {
    api: Arc<Api>,
    raw: *mut c_void,
    // Declared last: the driver's encoder lives in it.
    context: Context,
}

// SAFETY: the encoder is owned by this value alone; it may be used from any one thread at a time.
unsafe impl Send for Opened {}

impl Opened {
    /// Opens an encoder on the first GPU that has one.
    ///
    /// # Errors
    /// Why the last GPU did not.
    pub(super) fn new() -> Result<Self, NvencError> {
        let api = Api::load()?;
        let cuda = Cuda::load()?;
        let mut last = NvencError::Cuda(crate::gpu::cuda::CudaError::NoDevice);
        for device in cuda.devices()? {
            match Self::on(&api, Context::retain(&cuda, &device)?) {
                Ok(opened) => return Ok(opened),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn on(api: &Arc<Api>, context: Context) -> Result<Self, NvencError> {
        let mut params = sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS {
            version: sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
            deviceType: sys::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA,
            device: context.raw(),
            reserved: null_mut(),
            apiVersion: sys::NVENCAPI_VERSION,
            reserved1: [0; 253],
            reserved2: [null_mut(); 64],
        };
        let mut raw = null_mut();
        let _current = context.enter()?;
        // SAFETY: the structure is whole and says its version; its context outlives the encoder.
        let status = unsafe { (api.functions.open)(&raw mut params, &raw mut raw) };
        let gpu = || context.device().name.clone();
        match status {
            0 if raw.is_null() => Err(NvencError::Broken("it opened no encoder")),
            0 => Ok(Self { api: Arc::clone(api), raw, context }),
            status => {
                if !raw.is_null() {
                    // SAFETY: the interface wants an encoder whose opening failed to be destroyed.
                    unsafe { (api.functions.destroy)(raw) };
                }
                Err(match status {
                    status if NO_DEVICE.contains(&status) => NvencError::NoEncoder { gpu: gpu() },
                    status if NO_SESSION.contains(&status) => {
                        NvencError::Sessions { gpu: gpu(), status: status_name(status) }
                    }
                    status => {
                        NvencError::Call { call: "nvEncOpenEncodeSessionEx", status: status_name(status), said: gpu() }
                    }
                })
            }
        }
    }

    /// The GPU's name.
    pub(super) fn gpu(&self) -> &str {
        &self.context.device().name
    }

    /// The newest version of the interface that the driver speaks.
    pub(super) fn version(&self) -> (u32, u32) {
        self.api.version
    }

    /// What the GPU can do for a codec.
    ///
    /// # Errors
    /// [`NvencError::Unsupported`] if it does not encode it.
    pub(super) fn capabilities(&self, codec: Codec) -> Result<Capabilities, NvencError> {
        let wanted = codec_guid(codec);
        let _current = self.context.enter()?;
        if !self.codecs()?.contains(&wanted) {
            return Err(NvencError::Unsupported { gpu: self.gpu().to_owned(), what: format!("{codec:?}") });
        }
        let number = |cap| self.capability(wanted, cap).map(|value| u32::try_from(value).unwrap_or(0));
        let can = |cap| number(cap).map(|value| value != 0);
        Ok(Capabilities {
            min_size: (number(Cap::NV_ENC_CAPS_WIDTH_MIN)?, number(Cap::NV_ENC_CAPS_HEIGHT_MIN)?),
            max_size: (number(Cap::NV_ENC_CAPS_WIDTH_MAX)?, number(Cap::NV_ENC_CAPS_HEIGHT_MAX)?),
            ten_bits: can(Cap::NV_ENC_CAPS_SUPPORT_10BIT_ENCODE)?,
            yuv444: can(Cap::NV_ENC_CAPS_SUPPORT_YUV444_ENCODE)?,
            invalidation: can(Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION)?,
            intra_refresh: can(Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH)?,
            buffer_size: can(Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE)?,
        })
    }

    fn codecs(&self) -> Result<Vec<sys::GUID>, NvencError> {
        let mut count = 0;
        // SAFETY: the encoder is open, the pointer valid for the call.
        let status = unsafe { (self.api.functions.guid_count)(self.raw, &raw mut count) };
        self.check("nvEncGetEncodeGUIDCount", status)?;
        let mut codecs = vec![sys::GUID::default(); count as usize];
        let mut written = 0;
        // SAFETY: as above; there is room for `count`.
        let status = unsafe { (self.api.functions.guids)(self.raw, codecs.as_mut_ptr(), count, &raw mut written) };
        self.check("nvEncGetEncodeGUIDs", status)?;
        codecs.truncate(written as usize);
        Ok(codecs)
    }

    fn capability(&self, codec: sys::GUID, cap: Cap) -> Result<c_int, NvencError> {
        let mut params =
            sys::NV_ENC_CAPS_PARAM { version: sys::NV_ENC_CAPS_PARAM_VER, capsToQuery: cap, reserved: [0; 62] };
        let mut value = 0;
        // SAFETY: the encoder is open, the structure whole, the pointer valid for the call.
        let status = unsafe { (self.api.functions.caps)(self.raw, codec, &raw mut params, &raw mut value) };
        self.check("nvEncGetEncodeCaps", status)?;
        Ok(value)
    }

    fn preset(&self, codec: sys::GUID, preset: sys::GUID) -> Result<Box<sys::NV_ENC_CONFIG>, NvencError> {
        let mut config = preset_config();
        let _current = self.context.enter()?;
        // SAFETY: the encoder is open; the structure is whole and says its version.
        let status = unsafe { (self.api.functions.preset)(self.raw, codec, preset, TUNING, config.as_mut_ptr()) };
        self.check("nvEncGetEncodePresetConfigEx", status)?;
        // SAFETY: the driver filled it by the version that it was told, whose values the type knows.
        Ok(Box::new(unsafe { config.assume_init() }.presetCfg))
    }

    fn check(&self, call: &'static str, status: u32) -> Result<(), NvencError> {
        self.api.check(self.raw, call, status)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _current = self.context.enter();
        // SAFETY: the encoder is open and owned by this value; its buffers, which `Session` owns, are gone.
        unsafe { (self.api.functions.destroy)(self.raw) };
    }
}

/// A preset's configuration before the driver fills it: zeroes, and what has no zero.
pub(super) fn preset_config() -> Box<MaybeUninit<sys::NV_ENC_PRESET_CONFIG>> {
    let mut config = Box::new(MaybeUninit::<sys::NV_ENC_PRESET_CONFIG>::zeroed());
    let to = config.as_mut_ptr();
    // SAFETY: the pointer is valid; each field is written as a whole.
    unsafe {
        addr_of_mut!((*to).version).write(sys::NV_ENC_PRESET_CONFIG_VER);
        addr_of_mut!((*to).presetCfg.version).write(sys::NV_ENC_CONFIG_VER);
        addr_of_mut!((*to).presetCfg.frameFieldMode)
            .write(sys::NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME);
    }
    config
}

/// What an encoded picture turned out to be.
pub(super) struct Coded {
    /// Whether it is a key picture.
    pub(super) key: bool,
}

/// An encoder that runs.
pub(super) struct Session {
    /// What the encoder was told. The driver keeps no pointer into it.
    encode: Box<sys::NV_ENC_CONFIG>,
    params: Box<sys::NV_ENC_INITIALIZE_PARAMS>,
    plan: Plan,
    input: *mut c_void,
    output: *mut c_void,
    // Declared last: the buffers above belong to it.
    opened: Opened,
}

// SAFETY: as for `Opened`.
unsafe impl Send for Session {}

impl Session {
    /// Starts an open encoder.
    ///
    /// # Errors
    /// [`NvencError`] for what the driver refuses.
    pub(super) fn start(
        opened: Opened,
        config: &EncoderConfig,
        caps: &Capabilities,
        plan: Plan,
        options: NvencOptions,
    ) -> Result<Self, NvencError> {
        let preset = preset_guid(options.preset);
        let mut encode = opened.preset(plan.codec, preset)?;
        config::fill(&mut encode, config, caps, &plan, options);
        let mut params = Box::new(sys::NV_ENC_INITIALIZE_PARAMS {
            version: sys::NV_ENC_INITIALIZE_PARAMS_VER,
            encodeGUID: plan.codec,
            presetGUID: preset,
            encodeWidth: config.mode.width,
            encodeHeight: config.mode.height,
            darWidth: config.mode.width,
            darHeight: config.mode.height,
            frameRateNum: config.mode.rate_num.max(1),
            frameRateDen: config.mode.rate_den.max(1),
            // The driver decides what refers to what.
            enablePTD: 1,
            encodeConfig: &raw mut *encode,
            maxEncodeWidth: config.mode.width,
            maxEncodeHeight: config.mode.height,
            tuningInfo: TUNING,
            ..sys::NV_ENC_INITIALIZE_PARAMS::default()
        });
        let current = opened.context.enter()?;
        // SAFETY: the structure is whole, says its version, and points to a whole configuration.
        let status = unsafe { (opened.api.functions.initialize)(opened.raw, &raw mut *params) };
        opened.check("nvEncInitializeEncoder", status)?;
        drop(current);
        let mut session = Self { encode, params, plan, input: null_mut(), output: null_mut(), opened };
        session.create_buffers()?;
        Ok(session)
    }

    fn create_buffers(&mut self) -> Result<(), NvencError> {
        let _current = self.opened.context.enter()?;
        let functions = &self.opened.api.functions;
        let mut input = sys::NV_ENC_CREATE_INPUT_BUFFER {
            version: sys::NV_ENC_CREATE_INPUT_BUFFER_VER,
            width: self.params.encodeWidth,
            height: self.params.encodeHeight,
            bufferFmt: self.plan.format,
            ..sys::NV_ENC_CREATE_INPUT_BUFFER::default()
        };
        // SAFETY: the encoder is initialised; the structure is whole and says its version.
        let status = unsafe { (functions.create_input)(self.opened.raw, &raw mut input) };
        self.opened.check("nvEncCreateInputBuffer", status)?;
        self.input = input.inputBuffer;
        let mut output = sys::NV_ENC_CREATE_BITSTREAM_BUFFER {
            version: sys::NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
            ..sys::NV_ENC_CREATE_BITSTREAM_BUFFER::default()
        };
        // SAFETY: as above.
        let status = unsafe { (functions.create_output)(self.opened.raw, &raw mut output) };
        self.opened.check("nvEncCreateBitstreamBuffer", status)?;
        self.output = output.bitstreamBuffer;
        Ok(())
    }

    /// Gives the input buffer to `draw`: its first byte and the bytes from one line to the next.
    pub(super) fn draw<E>(
        &mut self,
        draw: impl FnOnce(*mut u8, usize) -> Result<(), E>,
    ) -> Result<Result<(), E>, NvencError> {
        let _current = self.opened.context.enter()?;
        let functions = &self.opened.api.functions;
        let mut lock = sys::NV_ENC_LOCK_INPUT_BUFFER {
            version: sys::NV_ENC_LOCK_INPUT_BUFFER_VER,
            inputBuffer: self.input,
            ..sys::NV_ENC_LOCK_INPUT_BUFFER::default()
        };
        // SAFETY: the buffer is the encoder's and not locked; the structure is whole and says its version.
        let status = unsafe { (functions.lock_input)(self.opened.raw, &raw mut lock) };
        self.opened.check("nvEncLockInputBuffer", status)?;
        let drawn = if lock.bufferDataPtr.is_null() {
            Err(NvencError::Broken("its input buffer lies nowhere"))
        } else {
            Ok(draw(lock.bufferDataPtr.cast(), lock.pitch as usize))
        };
        // SAFETY: it was locked just now.
        let status = unsafe { (functions.unlock_input)(self.opened.raw, self.input) };
        self.opened.check("nvEncUnlockInputBuffer", status)?;
        drawn
    }

    /// Encodes what lies in the input buffer, and hands the bytes to `take`.
    ///
    /// # Errors
    /// [`NvencError`] if the driver cannot.
    pub(super) fn encode(&mut self, stamp: u64, key: bool, take: impl FnOnce(&[u8])) -> Result<Coded, NvencError> {
        let _current = self.opened.context.enter()?;
        let mut params = self.picture(if key { KEY_FLAGS } else { 0 });
        let to = params.as_mut_ptr();
        // SAFETY: the pointer is valid; each field is written as a whole.
        unsafe {
            addr_of_mut!((*to).inputBuffer).write(self.input);
            addr_of_mut!((*to).outputBitstream).write(self.output);
            addr_of_mut!((*to).bufferFmt).write(self.plan.format);
            addr_of_mut!((*to).inputTimeStamp).write(stamp);
            addr_of_mut!((*to).frameIdx).write(stamp as u32);
        }
        // SAFETY: the structure is whole and says its version; its buffers are this encoder's and not locked.
        let status = unsafe { (self.opened.api.functions.encode)(self.opened.raw, to) };
        self.opened.check("nvEncEncodePicture", status)?;
        self.collect(stamp, take)
    }

    /// A picture's structure: zeroes, and what has no zero.
    fn picture(&self, flags: u32) -> Box<MaybeUninit<sys::NV_ENC_PIC_PARAMS>> {
        let mut params = Box::new(MaybeUninit::<sys::NV_ENC_PIC_PARAMS>::zeroed());
        let to = params.as_mut_ptr();
        // SAFETY: the pointer is valid; each field is written as a whole.
        unsafe {
            addr_of_mut!((*to).version).write(sys::NV_ENC_PIC_PARAMS_VER);
            addr_of_mut!((*to).inputWidth).write(self.params.encodeWidth);
            addr_of_mut!((*to).inputHeight).write(self.params.encodeHeight);
            addr_of_mut!((*to).encodePicFlags).write(flags);
            addr_of_mut!((*to).pictureStruct).write(sys::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        }
        params
    }

    /// Waits for the picture that was sent.
    fn collect(&mut self, stamp: u64, take: impl FnOnce(&[u8])) -> Result<Coded, NvencError> {
        let functions = &self.opened.api.functions;
        let mut lock = Box::new(MaybeUninit::<sys::NV_ENC_LOCK_BITSTREAM>::zeroed());
        let to = lock.as_mut_ptr();
        // SAFETY: the pointer is valid; each field is written as a whole.
        unsafe {
            addr_of_mut!((*to).version).write(sys::NV_ENC_LOCK_BITSTREAM_VER);
            addr_of_mut!((*to).outputBitstream).write(self.output);
        }
        // SAFETY: the structure is whole and says its version; a picture was sent into this buffer.
        let status = unsafe { (functions.lock_output)(self.opened.raw, to) };
        self.opened.check("nvEncLockBitstream", status)?;
        // SAFETY: zeroes or what the driver wrote. The kind is read as a number, for there may be newer ones.
        let (data, size, kind, written) = unsafe {
            (
                addr_of!((*to).bitstreamBufferPtr).read(),
                addr_of!((*to).bitstreamSizeInBytes).read() as usize,
                addr_of!((*to).pictureType).cast::<u32>().read(),
                addr_of!((*to).outputTimeStamp).read(),
            )
        };
        let whole = !data.is_null() && size > 0 && written == stamp;
        if whole {
            // SAFETY: the driver says that so many bytes lie there until the buffer is unlocked.
            take(unsafe { core::slice::from_raw_parts(data.cast::<u8>(), size) });
        }
        // SAFETY: it was locked just now.
        let status = unsafe { (functions.unlock_output)(self.opened.raw, self.output) };
        self.opened.check("nvEncUnlockBitstream", status)?;
        if whole {
            Ok(Coded { key: kind == TYPE_IDR })
        } else {
            Err(NvencError::Broken("it wrote another picture than was asked for"))
        }
    }

    /// No picture after this refers to the one with this time stamp.
    ///
    /// # Errors
    /// [`NvencError::Call`].
    pub(super) fn invalidate(&mut self, stamp: u64) -> Result<(), NvencError> {
        let _current = self.opened.context.enter()?;
        // SAFETY: the encoder runs.
        let status = unsafe { (self.opened.api.functions.invalidate)(self.opened.raw, stamp) };
        self.opened.check("nvEncInvalidateRefFrames", status)
    }

    /// Changes the rate from the next picture on, without a key picture.
    ///
    /// # Errors
    /// [`NvencError::Call`].
    pub(super) fn set_rate(
        &mut self,
        config: &EncoderConfig,
        caps: &Capabilities,
        rate: u64,
    ) -> Result<(), NvencError> {
        config::set_rate(&mut self.encode, config, caps, rate);
        self.params.encodeConfig = &raw mut *self.encode;
        let mut params = Box::new(sys::NV_ENC_RECONFIGURE_PARAMS {
            version: sys::NV_ENC_RECONFIGURE_PARAMS_VER,
            reInitEncodeParams: *self.params,
            ..sys::NV_ENC_RECONFIGURE_PARAMS::default()
        });
        let _current = self.opened.context.enter()?;
        // SAFETY: the structure is whole, says its version, and points to a whole configuration.
        let status = unsafe { (self.opened.api.functions.reconfigure)(self.opened.raw, &raw mut *params) };
        self.opened.check("nvEncReconfigureEncoder", status)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _current = self.opened.context.enter();
        let mut end = self.picture(END_FLAG);
        let (functions, raw) = (&self.opened.api.functions, self.opened.raw);
        // What fails here has failed before; nothing is left to be done about it.
        // SAFETY: the encoder is live; its buffers are its own, not locked, and not used after this.
        unsafe {
            (functions.encode)(raw, end.as_mut_ptr());
            if !self.input.is_null() {
                (functions.destroy_input)(raw, self.input);
            }
            if !self.output.is_null() {
                (functions.destroy_output)(raw, self.output);
            }
        }
    }
}
