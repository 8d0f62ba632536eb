//! The functions of libavutil and libavcodec that are used, resolved once.

use core::ffi::{c_char, c_int, c_uint, c_void};

/// Declares the table of functions and its loader.
macro_rules! functions {
    ($($library:ident { $($(#[$doc:meta])* fn $name:ident($($argument:ty),*) $(-> $result:ty)?;)* })*) => {
        /// Every function that is called, each with the signature of FFmpeg's public headers.
        pub(crate) struct Functions {
            $($(pub(crate) $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*)*
        }

        impl Functions {
            /// Looks all functions up.
            ///
            /// # Errors
            /// The name of the first that is missing.
            ///
            /// # Safety
            /// The libraries must be FFmpeg's and outlive the table.
            pub(crate) unsafe fn resolve($($library: &libloading::Library),*) -> Result<Self, &'static str> {
                Ok(Self {
                    $($($name: {
                        // SAFETY: the caller vouches for the library, and the signature is that of its public header.
                        *unsafe { $library.get(concat!(stringify!($name), "\0").as_bytes()) }
                            .map_err(|_| stringify!($name))?
                    },)*)*
                })
            }
        }
    };
}

functions! {
    avutil {
        fn av_log_set_level(c_int);
        fn av_strerror(c_int, *mut c_char, usize) -> c_int;
        fn av_get_pix_fmt(*const c_char) -> c_int;
        fn av_frame_alloc() -> *mut c_void;
        fn av_frame_free(*mut *mut c_void);
        fn av_frame_get_buffer(*mut c_void, c_int) -> c_int;
        fn av_frame_make_writable(*mut c_void) -> c_int;
        fn av_frame_copy_props(*mut c_void, *const c_void) -> c_int;
        fn av_frame_unref(*mut c_void);
        fn av_opt_set(*mut c_void, *const c_char, *const c_char, c_int) -> c_int;
        fn av_opt_set_int(*mut c_void, *const c_char, i64, c_int) -> c_int;
        fn av_opt_get_int(*mut c_void, *const c_char, c_int, *mut i64) -> c_int;
    }
    avcodec {
        fn avcodec_version() -> c_uint;
        fn avcodec_find_encoder_by_name(*const c_char) -> *const c_void;
        fn avcodec_find_decoder_by_name(*const c_char) -> *const c_void;
        fn avcodec_alloc_context3(*const c_void) -> *mut c_void;
        fn avcodec_free_context(*mut *mut c_void);
        fn avcodec_open2(*mut c_void, *const c_void, *mut *mut c_void) -> c_int;
        fn avcodec_send_frame(*mut c_void, *const c_void) -> c_int;
        fn avcodec_receive_packet(*mut c_void, *mut c_void) -> c_int;
        fn avcodec_send_packet(*mut c_void, *const c_void) -> c_int;
        fn avcodec_receive_frame(*mut c_void, *mut c_void) -> c_int;
        fn avcodec_flush_buffers(*mut c_void);
        fn av_packet_alloc() -> *mut c_void;
        fn av_packet_free(*mut *mut c_void);
        fn av_packet_unref(*mut c_void);
        fn av_new_packet(*mut c_void, c_int) -> c_int;
    }
}

/// `AV_LOG_QUIET`.
pub(crate) const LOG_QUIET: c_int = -8;
/// `AV_OPT_SEARCH_CHILDREN`: look in the codec's private options too.
pub(crate) const SEARCH_CHILDREN: c_int = 1;
/// `AV_PKT_FLAG_KEY`.
pub(crate) const PACKET_KEY: c_int = 1;
/// `AV_NOPTS_VALUE`.
pub(crate) const NO_PTS: i64 = i64::MIN;
/// `AVERROR(EAGAIN)`.
pub(crate) const AGAIN: c_int = -libc::EAGAIN;
/// `AVERROR_EOF`: the tag "EOF " negated.
pub(crate) const END_OF_FILE: c_int = -(0x20_46_4f_45);
