//! The double of `libnvidia-encode`: the entry points, each with the rules for its arguments.
//!
//! Structures are read field by field through pointers: a caller may have set any of them to anything.

use core::ffi::{c_char, c_int, c_void};
use core::ptr::{addr_of, addr_of_mut};

use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;
use sys::NV_ENC_CAPS as Cap;

use crate::cuda;
use crate::orders::{Fault, fault, record};
use crate::picture::Codec;
use crate::state::{Answer, Input, Output, lock, status, violation};

/// The version that the double speaks, as that function packs it.
const VERSION: u32 = sys::NVENCAPI_MAJOR_VERSION << 4 | sys::NVENCAPI_MINOR_VERSION;
/// What `old-driver` speaks: 11.1.
const OLD_VERSION: u32 = 11 << 4 | 1;

const NV12: u32 = 1;
const FLAG_INTRA: u32 = 1;
const FLAG_IDR: u32 = 2;
const FLAG_END: u32 = 8;
/// What the driver may lay lines out at.
const PITCH: usize = 256;

/// Finds the faults in what a call was given, and answers it.
fn answer(call: impl FnOnce() -> Answer) -> u32 {
    match call() {
        Ok(()) => status::SUCCESS,
        Err(status) => status,
    }
}

/// Reads a field of the structure behind a pointer.
macro_rules! field {
    ($from:expr, $($field:tt)+) => {
        // SAFETY: the pointer was checked not to be null; the caller says that a whole structure lies there.
        unsafe { addr_of!((*$from).$($field)+).cast::<u32>().read() }
    };
}

/// Writes a field of the structure behind a pointer.
macro_rules! set {
    ($to:expr, $field:ident, $value:expr) => {
        // SAFETY: as for reading.
        unsafe { addr_of_mut!((*$to).$field).write($value) }
    };
}

fn whole(version: u32, expected: u32, what: &str) -> Answer {
    if version == expected {
        return Ok(());
    }
    Err(violation(status::INVALID_VERSION, &format!("{what} of version {version:#x}, not {expected:#x}")))
}

fn not_null<T>(pointer: *const T, what: &str) -> Answer {
    if pointer.is_null() { Err(violation(status::INVALID_PTR, &format!("{what} is null"))) } else { Ok(()) }
}

/// # Safety
/// The pointer is valid or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: *mut u32) -> u32 {
    answer(|| {
        not_null(version, "the version")?;
        // SAFETY: it is valid, says the caller.
        unsafe { version.write(if fault() == Some(Fault::OldDriver) { OLD_VERSION } else { VERSION }) };
        Ok(())
    })
}

/// # Safety
/// The pointer is that of a whole list, or null.
#[unsafe(no_mangle)]
unsafe extern "C" fn NvEncodeAPICreateInstance(list: *mut sys::NV_ENCODE_API_FUNCTION_LIST) -> u32 {
    answer(|| {
        not_null(list, "the list of functions")?;
        if fault() == Some(Fault::InvalidVersion) {
            return Err(status::INVALID_VERSION);
        }
        whole(field!(list, version), sys::NV_ENCODE_API_FUNCTION_LIST_VER, "the list of functions")?;
        /// The interface's type of a function's result is an enumeration of these numbers.
        macro_rules! fill {
            ($($field:ident: $function:ident as fn($($argument:ty),*);)*) => {$(
                let function: unsafe extern "C" fn($($argument),*) -> u32 = $function;
                // SAFETY: only the type of the result differs; every number that is answered is one of its values.
                let function = unsafe {
                    core::mem::transmute::<
                        unsafe extern "C" fn($($argument),*) -> u32,
                        unsafe extern "C" fn($($argument),*) -> sys::NVENCSTATUS,
                    >(function)
                };
                set!(list, $field, Some(function));
            )*};
        }
        fill! {
            nvEncOpenEncodeSessionEx: open as fn(*mut sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut *mut c_void);
            nvEncGetEncodeGUIDCount: guid_count as fn(*mut c_void, *mut u32);
            nvEncGetEncodeGUIDs: guids as fn(*mut c_void, *mut sys::GUID, u32, *mut u32);
            nvEncGetEncodeCaps: caps as fn(*mut c_void, sys::GUID, *mut sys::NV_ENC_CAPS_PARAM, *mut c_int);
            nvEncGetEncodePresetConfigEx: preset as fn(
                *mut c_void, sys::GUID, sys::GUID, sys::NV_ENC_TUNING_INFO, *mut sys::NV_ENC_PRESET_CONFIG
            );
            nvEncInitializeEncoder: initialize as fn(*mut c_void, *mut sys::NV_ENC_INITIALIZE_PARAMS);
            nvEncReconfigureEncoder: reconfigure as fn(*mut c_void, *mut sys::NV_ENC_RECONFIGURE_PARAMS);
            nvEncCreateInputBuffer: create_input as fn(*mut c_void, *mut sys::NV_ENC_CREATE_INPUT_BUFFER);
            nvEncDestroyInputBuffer: destroy_input as fn(*mut c_void, *mut c_void);
            nvEncLockInputBuffer: lock_input as fn(*mut c_void, *mut sys::NV_ENC_LOCK_INPUT_BUFFER);
            nvEncUnlockInputBuffer: unlock_input as fn(*mut c_void, *mut c_void);
            nvEncCreateBitstreamBuffer: create_output as fn(*mut c_void, *mut sys::NV_ENC_CREATE_BITSTREAM_BUFFER);
            nvEncDestroyBitstreamBuffer: destroy_output as fn(*mut c_void, *mut c_void);
            nvEncEncodePicture: encode as fn(*mut c_void, *mut sys::NV_ENC_PIC_PARAMS);
            nvEncLockBitstream: lock_output as fn(*mut c_void, *mut sys::NV_ENC_LOCK_BITSTREAM);
            nvEncUnlockBitstream: unlock_output as fn(*mut c_void, *mut c_void);
            nvEncInvalidateRefFrames: invalidate as fn(*mut c_void, u64);
            nvEncDestroyEncoder: destroy as fn(*mut c_void);
        }
        set!(list, nvEncGetLastErrorString, Some(last_error));
        Ok(())
    })
}

unsafe extern "C" fn last_error(_encoder: *mut c_void) -> *const c_char {
    c"the test double says so".as_ptr()
}

unsafe extern "C" fn open(params: *mut sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, encoder: *mut *mut c_void) -> u32 {
    answer(|| {
        not_null(params, "the parameters of opening")?;
        not_null(encoder, "the place of the encoder")?;
        let expected = sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
        whole(field!(params, version), expected, "the parameters of opening")?;
        if field!(params, apiVersion) != sys::NVENCAPI_VERSION {
            return Err(violation(status::INVALID_VERSION, "another version of the interface"));
        }
        // SAFETY: as for all fields.
        let device = unsafe { addr_of!((*params).device).read() };
        if field!(params, deviceType) != 1 || !cuda::is_live(device) {
            return Err(violation(status::INVALID_DEVICE, "not a live context of CUDA"));
        }
        if fault() == Some(Fault::UnsupportedDevice) {
            return Err(status::UNSUPPORTED_DEVICE);
        }
        let handle = lock().open()?;
        // SAFETY: it is valid, says the caller.
        unsafe { encoder.write(handle as *mut c_void) };
        Ok(())
    })
}

unsafe extern "C" fn guid_count(encoder: *mut c_void, count: *mut u32) -> u32 {
    answer(|| {
        lock().session(encoder as usize)?;
        not_null(count, "the number of codecs")?;
        // SAFETY: it is valid, says the caller.
        unsafe { count.write(1) };
        Ok(())
    })
}

unsafe extern "C" fn guids(encoder: *mut c_void, list: *mut sys::GUID, room: u32, count: *mut u32) -> u32 {
    answer(|| {
        lock().session(encoder as usize)?;
        not_null(list, "the list of codecs")?;
        not_null(count, "the number of codecs")?;
        if room == 0 {
            return Err(violation(status::INVALID_PARAM, "no room for codecs"));
        }
        // SAFETY: they are valid, says the caller.
        unsafe {
            list.write(sys::NV_ENC_CODEC_H264_GUID);
            count.write(1);
        }
        Ok(())
    })
}

fn is_h264(codec: sys::GUID) -> Answer {
    if codec == sys::NV_ENC_CODEC_H264_GUID { Ok(()) } else { Err(status::UNSUPPORTED_PARAM) }
}

unsafe extern "C" fn caps(
    encoder: *mut c_void,
    codec: sys::GUID,
    params: *mut sys::NV_ENC_CAPS_PARAM,
    value: *mut c_int,
) -> u32 {
    answer(|| {
        lock().session(encoder as usize)?;
        not_null(params, "the question for a capability")?;
        not_null(value, "the answer about a capability")?;
        whole(field!(params, version), sys::NV_ENC_CAPS_PARAM_VER, "the question for a capability")?;
        is_h264(codec)?;
        let asked = field!(params, capsToQuery);
        let is = |cap: Cap| asked == cap as u32;
        let found = if is(Cap::NV_ENC_CAPS_WIDTH_MIN) || is(Cap::NV_ENC_CAPS_HEIGHT_MIN) {
            64
        } else if is(Cap::NV_ENC_CAPS_WIDTH_MAX) || is(Cap::NV_ENC_CAPS_HEIGHT_MAX) {
            3840
        } else {
            let can = [
                Cap::NV_ENC_CAPS_SUPPORT_REF_PIC_INVALIDATION,
                Cap::NV_ENC_CAPS_SUPPORT_INTRA_REFRESH,
                Cap::NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE,
                Cap::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE,
            ];
            c_int::from(can.into_iter().any(is))
        };
        // SAFETY: it is valid, says the caller.
        unsafe { value.write(found) };
        Ok(())
    })
}

unsafe extern "C" fn preset(
    encoder: *mut c_void,
    codec: sys::GUID,
    preset: sys::GUID,
    tuning: sys::NV_ENC_TUNING_INFO,
    config: *mut sys::NV_ENC_PRESET_CONFIG,
) -> u32 {
    answer(|| {
        lock().session(encoder as usize)?;
        not_null(config, "the place of a preset")?;
        whole(field!(config, version), sys::NV_ENC_PRESET_CONFIG_VER, "the place of a preset")?;
        whole(field!(config, presetCfg.version), sys::NV_ENC_CONFIG_VER, "the place of a configuration")?;
        is_h264(codec)?;
        is_preset(preset)?;
        if tuning == sys::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_UNDEFINED {
            return Err(violation(status::INVALID_PARAM, "a preset without tuning"));
        }
        // What presets hold that the caller must change: a constant quantiser, a picture group of its own, B pictures.
        // SAFETY: the caller says that a whole structure lies there.
        unsafe {
            addr_of_mut!((*config).presetCfg.gopLength).write(30);
            addr_of_mut!((*config).presetCfg.frameIntervalP).write(3);
            addr_of_mut!((*config).presetCfg.frameFieldMode)
                .write(sys::NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME);
        }
        Ok(())
    })
}

fn is_preset(preset: sys::GUID) -> Answer {
    let known = [
        sys::NV_ENC_PRESET_P1_GUID,
        sys::NV_ENC_PRESET_P2_GUID,
        sys::NV_ENC_PRESET_P3_GUID,
        sys::NV_ENC_PRESET_P4_GUID,
        sys::NV_ENC_PRESET_P5_GUID,
        sys::NV_ENC_PRESET_P6_GUID,
        sys::NV_ENC_PRESET_P7_GUID,
    ];
    if known.contains(&preset) { Ok(()) } else { Err(violation(status::UNSUPPORTED_PARAM, "an unknown preset")) }
}

/// Rules for a configuration; its rate and how many references it wants to hold.
fn configuration(params: *const sys::NV_ENC_INITIALIZE_PARAMS) -> Answer<(u32, u32)> {
    whole(field!(params, version), sys::NV_ENC_INITIALIZE_PARAMS_VER, "the parameters of the encoder")?;
    // SAFETY: as for all fields.
    let (codec, preset, config) = unsafe {
        (
            addr_of!((*params).encodeGUID).read(),
            addr_of!((*params).presetGUID).read(),
            addr_of!((*params).encodeConfig).read(),
        )
    };
    is_h264(codec)?;
    is_preset(preset)?;
    not_null(config, "the configuration")?;
    whole(field!(config, version), sys::NV_ENC_CONFIG_VER, "the configuration")?;
    let refused = |what: &str| Err(violation(status::INVALID_PARAM, what));
    if field!(params, enablePTD) != 1 || field!(params, enableEncodeAsync) != 0 {
        return refused("the double decides about pictures itself, and answers at once");
    }
    if field!(params, frameRateNum) == 0 || field!(params, frameRateDen) == 0 {
        return refused("no frame rate");
    }
    if field!(config, gopLength) != sys::NVENC_INFINITE_GOPLENGTH || field!(config, frameIntervalP) != 1 {
        return refused("a stream with B pictures, or with key pictures of its own");
    }
    let rate = field!(config, rcParams.averageBitRate);
    let buffer = field!(config, rcParams.vbvBufferSize);
    if field!(config, rcParams.rateControlMode) != 2 || rate == 0 || buffer == 0 || buffer > rate {
        return refused("no constant rate over a buffer");
    }
    // SAFETY: it is H.264, whose member is plain numbers.
    let references = field!(config, encodeCodecConfig.h264Config.maxNumRefFrames);
    if field!(config, encodeCodecConfig.h264Config.chromaFormatIDC) != 1 {
        return refused("H.264 that is not 4:2:0");
    }
    Ok((rate, references))
}

unsafe extern "C" fn initialize(encoder: *mut c_void, params: *mut sys::NV_ENC_INITIALIZE_PARAMS) -> u32 {
    answer(|| {
        let mut state = lock();
        let session = state.session(encoder as usize)?;
        not_null(params, "the parameters of the encoder")?;
        if session.codec.is_some() {
            return Err(violation(status::INVALID_CALL, "an encoder is initialised twice"));
        }
        let (rate, references) = configuration(params)?;
        let (width, height) = (field!(params, encodeWidth), field!(params, encodeHeight));
        if !(64..=3840).contains(&width) || !(64..=3840).contains(&height) || width % 2 + height % 2 > 0 {
            return Err(violation(status::INVALID_PARAM, "a size beyond what the capabilities say"));
        }
        session.capacity = references.max(1) as usize;
        session.codec = Codec::new(width as usize, height as usize);
        record(&format!("initialised {width}x{height} at {rate} bit/s with {references} references"));
        session.running().map(drop)
    })
}

unsafe extern "C" fn reconfigure(encoder: *mut c_void, params: *mut sys::NV_ENC_RECONFIGURE_PARAMS) -> u32 {
    answer(|| {
        let mut state = lock();
        state.session(encoder as usize)?.running()?;
        not_null(params, "the new parameters")?;
        whole(field!(params, version), sys::NV_ENC_RECONFIGURE_PARAMS_VER, "the new parameters")?;
        // SAFETY: as for all fields.
        let (rate, _) = configuration(unsafe { addr_of!((*params).reInitEncodeParams) })?;
        record(&format!("reconfigured to {rate} bit/s"));
        Ok(())
    })
}

unsafe extern "C" fn create_input(encoder: *mut c_void, params: *mut sys::NV_ENC_CREATE_INPUT_BUFFER) -> u32 {
    answer(|| {
        let mut state = lock();
        let handle = state.handle();
        let session = state.session(encoder as usize)?.running()?;
        not_null(params, "the parameters of a buffer")?;
        whole(field!(params, version), sys::NV_ENC_CREATE_INPUT_BUFFER_VER, "the parameters of a buffer")?;
        if field!(params, bufferFmt) != NV12 {
            return Err(violation(status::INVALID_PARAM, "a buffer that is not NV12"));
        }
        let (width, height) = (field!(params, width) as usize, field!(params, height) as usize);
        let pitch = width.next_multiple_of(PITCH);
        session.inputs.insert(handle, Input { data: vec![0; pitch * height * 3 / 2], pitch, locked: false });
        set!(params, inputBuffer, handle as *mut c_void);
        Ok(())
    })
}

unsafe extern "C" fn destroy_input(encoder: *mut c_void, buffer: *mut c_void) -> u32 {
    answer(|| match lock().sessions.get_mut(&(encoder as usize)).and_then(|s| s.inputs.remove(&(buffer as usize))) {
        Some(input) if !input.locked => Ok(()),
        Some(_) => Err(violation(status::LOCK_BUSY, "a locked input buffer is destroyed")),
        None => Err(violation(status::INVALID_PARAM, "an unknown input buffer is destroyed")),
    })
}

unsafe extern "C" fn lock_input(encoder: *mut c_void, params: *mut sys::NV_ENC_LOCK_INPUT_BUFFER) -> u32 {
    answer(|| {
        let mut state = lock();
        let session = state.session(encoder as usize)?.running()?;
        not_null(params, "the parameters of a lock")?;
        whole(field!(params, version), sys::NV_ENC_LOCK_INPUT_BUFFER_VER, "the parameters of a lock")?;
        // SAFETY: as for all fields.
        let buffer = unsafe { addr_of!((*params).inputBuffer).read() } as usize;
        let input = session
            .inputs
            .get_mut(&buffer)
            .ok_or_else(|| violation(status::INVALID_PARAM, "an unknown input buffer is locked"))?;
        if core::mem::replace(&mut input.locked, true) {
            return Err(violation(status::LOCK_BUSY, "an input buffer is locked twice"));
        }
        set!(params, bufferDataPtr, input.data.as_mut_ptr().cast());
        set!(params, pitch, input.pitch as u32);
        Ok(())
    })
}

unsafe extern "C" fn unlock_input(encoder: *mut c_void, buffer: *mut c_void) -> u32 {
    answer(|| {
        let mut state = lock();
        let session = state.session(encoder as usize)?;
        match session.inputs.get_mut(&(buffer as usize)) {
            Some(input) if input.locked => {
                input.locked = false;
                Ok(())
            }
            _ => Err(violation(status::INVALID_PARAM, "an input buffer is unlocked that is not locked")),
        }
    })
}

unsafe extern "C" fn create_output(encoder: *mut c_void, params: *mut sys::NV_ENC_CREATE_BITSTREAM_BUFFER) -> u32 {
    answer(|| {
        let mut state = lock();
        let handle = state.handle();
        let session = state.session(encoder as usize)?.running()?;
        not_null(params, "the parameters of an output")?;
        whole(field!(params, version), sys::NV_ENC_CREATE_BITSTREAM_BUFFER_VER, "the parameters of an output")?;
        if fault() == Some(Fault::NoMemory) {
            return Err(status::OUT_OF_MEMORY);
        }
        session.outputs.insert(handle, Output::default());
        set!(params, bitstreamBuffer, handle as *mut c_void);
        Ok(())
    })
}

unsafe extern "C" fn destroy_output(encoder: *mut c_void, buffer: *mut c_void) -> u32 {
    answer(|| match lock().sessions.get_mut(&(encoder as usize)).and_then(|s| s.outputs.remove(&(buffer as usize))) {
        Some(output) if !output.locked && !output.pending => Ok(()),
        Some(_) => Err(violation(status::LOCK_BUSY, "an output is destroyed that is locked or not fetched")),
        None => Err(violation(status::INVALID_PARAM, "an unknown output is destroyed")),
    })
}

unsafe extern "C" fn encode(encoder: *mut c_void, params: *mut sys::NV_ENC_PIC_PARAMS) -> u32 {
    answer(|| {
        let mut state = lock();
        state.session(encoder as usize)?.running()?;
        not_null(params, "the parameters of a picture")?;
        whole(field!(params, version), sys::NV_ENC_PIC_PARAMS_VER, "the parameters of a picture")?;
        let flags = field!(params, encodePicFlags);
        if flags & FLAG_END != 0 {
            state.session(encoder as usize)?.ended = true;
            return Ok(());
        }
        state.picture()?;
        picture(state.session(encoder as usize)?, params, flags)
    })
}

fn picture(session: &mut crate::state::Session, params: *const sys::NV_ENC_PIC_PARAMS, flags: u32) -> Answer {
    let refused = |what: &str| Err(violation(status::INVALID_PARAM, what));
    // SAFETY: as for all fields.
    let (from, to, stamp) = unsafe {
        (
            addr_of!((*params).inputBuffer).read() as usize,
            addr_of!((*params).outputBitstream).read() as usize,
            addr_of!((*params).inputTimeStamp).read(),
        )
    };
    if session.ended {
        return refused("a picture after the end of the stream");
    }
    if field!(params, pictureStruct) != 1 || field!(params, bufferFmt) != NV12 {
        return refused("a picture that is not a frame of NV12");
    }
    if session.references.contains(&stamp) {
        return refused("two pictures with one time stamp");
    }
    let Some(input) = session.inputs.get(&from).filter(|input| !input.locked) else {
        return refused("an input buffer that is unknown or locked");
    };
    let Some(output) = session.outputs.get_mut(&to).filter(|output| !output.locked && !output.pending) else {
        return refused("an output that is unknown, locked, or not fetched");
    };
    let Some(codec) = session.codec.as_mut() else { return Err(status::ENCODER_NOT_INITIALIZED) };
    let mut key = flags & (FLAG_IDR | FLAG_INTRA) != 0;
    if !key && session.references.last().is_some_and(|last| session.invalid.contains(last)) {
        let good = codec.go_back(|stamp| session.invalid.contains(&stamp)).ok_or(status::GENERIC)?;
        key = !good;
    }
    let (data, is_key) = codec.encode(&input.data, input.pitch, stamp, key).ok_or(status::GENERIC)?;
    if is_key {
        session.references.clear();
        session.invalid.clear();
    }
    session.references.push(stamp);
    if session.references.len() > session.capacity {
        session.references.remove(0);
    }
    session.pictures += 1;
    *output = Output { data, stamp, key: is_key, pending: true, locked: false };
    Ok(())
}

unsafe extern "C" fn lock_output(encoder: *mut c_void, params: *mut sys::NV_ENC_LOCK_BITSTREAM) -> u32 {
    answer(|| {
        let mut state = lock();
        let session = state.session(encoder as usize)?.running()?;
        not_null(params, "the parameters of fetching")?;
        whole(field!(params, version), sys::NV_ENC_LOCK_BITSTREAM_VER, "the parameters of fetching")?;
        // SAFETY: as for all fields.
        let buffer = unsafe { addr_of!((*params).outputBitstream).read() } as usize;
        let output = session
            .outputs
            .get_mut(&buffer)
            .ok_or_else(|| violation(status::INVALID_PARAM, "an unknown output is fetched"))?;
        if !output.pending || output.locked {
            return Err(violation(status::LOCK_BUSY, "an output is fetched that holds nothing, or is locked"));
        }
        output.locked = true;
        set!(params, bitstreamBufferPtr, output.data.as_mut_ptr().cast());
        set!(params, bitstreamSizeInBytes, output.data.len() as u32);
        set!(params, outputTimeStamp, output.stamp);
        let kind = if output.key {
            sys::NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_IDR
        } else {
            sys::NV_ENC_PIC_TYPE::NV_ENC_PIC_TYPE_P
        };
        set!(params, pictureType, kind);
        set!(params, pictureStruct, sys::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        Ok(())
    })
}

unsafe extern "C" fn unlock_output(encoder: *mut c_void, buffer: *mut c_void) -> u32 {
    answer(|| {
        let mut state = lock();
        let session = state.session(encoder as usize)?;
        match session.outputs.get_mut(&(buffer as usize)) {
            Some(output) if output.locked => {
                output.locked = false;
                output.pending = false;
                // Whoever reads it from now on reads what is not there.
                output.data = Vec::new();
                Ok(())
            }
            _ => Err(violation(status::INVALID_PARAM, "an output is unlocked that is not locked")),
        }
    })
}

unsafe extern "C" fn invalidate(encoder: *mut c_void, stamp: u64) -> u32 {
    answer(|| {
        let mut state = lock();
        let session = state.session(encoder as usize)?.running()?;
        if !session.references.contains(&stamp) {
            return Err(violation(status::INVALID_PARAM, "a picture is given up that is not held"));
        }
        if !session.invalid.insert(stamp) {
            return Err(violation(status::INVALID_PARAM, "a picture is given up twice"));
        }
        record(&format!("gave up picture {stamp}"));
        Ok(())
    })
}

unsafe extern "C" fn destroy(encoder: *mut c_void) -> u32 {
    answer(|| lock().close(encoder as usize))
}

#[cfg(test)]
mod tests {
    use core::ptr::null_mut;

    use super::*;

    /// The functions, as a caller gets them.
    fn list() -> sys::NV_ENCODE_API_FUNCTION_LIST {
        let version = sys::NV_ENCODE_API_FUNCTION_LIST_VER;
        let mut list = sys::NV_ENCODE_API_FUNCTION_LIST { version, ..Default::default() };
        // SAFETY: the list is whole.
        assert_eq!(unsafe { NvEncodeAPICreateInstance(&raw mut list) }, 0);
        list
    }

    #[test]
    fn an_encoder_that_is_not_open_is_refused() {
        let list = list();
        let mut count = 0;
        let _current = cuda::tests::Current::new();
        let function = list.nvEncGetEncodeGUIDCount.expect("it is there");
        // SAFETY: the double looks handles up and follows none.
        let status = unsafe { function(null_mut(), &raw mut count) };
        assert_eq!(status as u32, status::INVALID_DEVICE);
    }

    #[test]
    fn structures_of_another_version_are_refused() {
        let mut list = sys::NV_ENCODE_API_FUNCTION_LIST { version: 1, ..Default::default() };
        // SAFETY: the list is whole.
        assert_eq!(unsafe { NvEncodeAPICreateInstance(&raw mut list) }, status::INVALID_VERSION);
    }
}
