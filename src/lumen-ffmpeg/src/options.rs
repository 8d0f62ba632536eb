//! A codec context that is set up by named options.

use core::ffi::{c_int, c_void};
use core::ptr::{self, NonNull};
use std::ffi::CString;
use std::sync::Arc;

use crate::ffi::SEARCH_CHILDREN;
use crate::{Error, Library};

/// An owned `AVCodecContext`.
pub(crate) struct Context {
    pub(crate) library: Arc<Library>,
    pub(crate) codec: String,
    pointer: NonNull<c_void>,
}

// SAFETY: FFmpeg's contexts may move between threads as long as one uses them at a time, which &mut ensures.
unsafe impl Send for Context {}

/// Whether a codec is an encoder or a decoder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Encoder,
    Decoder,
}

impl Context {
    /// A context for a codec of that name, not opened yet.
    pub(crate) fn new(library: &Arc<Library>, role: Role, codec: &str) -> Result<Self, Error> {
        let pointer = Self::find(library, role, codec).and_then(|found| {
            // SAFETY: `found` is a codec of this library.
            NonNull::new(unsafe { (library.functions.avcodec_alloc_context3)(found.as_ptr()) })
        });
        let kind = match role {
            Role::Encoder => "encoder",
            Role::Decoder => "decoder",
        };
        let pointer = pointer.ok_or_else(|| Error::NoCodec { kind, name: codec.to_owned() })?;
        Ok(Self { library: Arc::clone(library), codec: codec.to_owned(), pointer })
    }

    fn find(library: &Library, role: Role, codec: &str) -> Option<NonNull<c_void>> {
        let name = CString::new(codec).ok()?;
        // SAFETY: a C string goes in; a pointer to a static description or null comes out.
        let found = unsafe {
            match role {
                Role::Encoder => (library.functions.avcodec_find_encoder_by_name)(name.as_ptr()),
                Role::Decoder => (library.functions.avcodec_find_decoder_by_name)(name.as_ptr()),
            }
        };
        NonNull::new(found.cast_mut())
    }

    /// Sets an option of the context or of the codec.
    pub(crate) fn set(&mut self, option: &str, value: &str) -> Result<(), Error> {
        let refuse = |reason: String| Error::Option {
            codec: self.codec.clone(),
            option: option.to_owned(),
            value: value.to_owned(),
            reason,
        };
        let name = CString::new(option).map_err(|_| refuse("the name holds a zero byte".to_owned()))?;
        let text = CString::new(value).map_err(|_| refuse("the value holds a zero byte".to_owned()))?;
        // SAFETY: the context is live and begins with its class, as av_opt_set wants; both strings are C strings.
        let code = unsafe {
            (self.library.functions.av_opt_set)(self.pointer(), name.as_ptr(), text.as_ptr(), SEARCH_CHILDREN)
        };
        if code < 0 { Err(refuse(self.library.reason(code))) } else { Ok(()) }
    }

    /// Sets a numeric option, also on an open context.
    pub(crate) fn set_number(&mut self, option: &str, value: i64) -> Result<(), Error> {
        let name = CString::new(option).unwrap_or_default();
        // SAFETY: the context is live and begins with its class; the name is a C string.
        let code =
            unsafe { (self.library.functions.av_opt_set_int)(self.pointer(), name.as_ptr(), value, SEARCH_CHILDREN) };
        if code < 0 {
            let (codec, option, value) = (self.codec.clone(), option.to_owned(), value.to_string());
            return Err(Error::Option { codec, option, value, reason: self.library.reason(code) });
        }
        Ok(())
    }

    /// Reads a numeric option.
    pub(crate) fn number(&self, option: &str) -> Option<i64> {
        let name = CString::new(option).ok()?;
        let mut value = 0;
        // SAFETY: the context is live and begins with its class; the name is a C string; `value` can be written to.
        let code = unsafe {
            (self.library.functions.av_opt_get_int)(self.pointer(), name.as_ptr(), SEARCH_CHILDREN, &raw mut value)
        };
        (code >= 0).then_some(value)
    }

    /// Opens the codec with what was set.
    pub(crate) fn open(&mut self) -> Result<(), Error> {
        // SAFETY: the context was allocated for a codec, which avcodec_open2 finds in it; no options are passed.
        let code = unsafe { (self.library.functions.avcodec_open2)(self.pointer(), ptr::null(), ptr::null_mut()) };
        self.check("open", code).map(drop)
    }

    pub(crate) fn pointer(&self) -> *mut c_void {
        self.pointer.as_ptr()
    }

    /// Turns a negative return value into an error.
    pub(crate) fn check(&self, action: &'static str, code: c_int) -> Result<c_int, Error> {
        if code < 0 {
            return Err(Error::Call { codec: self.codec.clone(), action, reason: self.library.reason(code) });
        }
        Ok(code)
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let mut pointer = self.pointer();
        // SAFETY: the context is owned and not used afterwards.
        unsafe { (self.library.functions.avcodec_free_context)(&raw mut pointer) };
    }
}
