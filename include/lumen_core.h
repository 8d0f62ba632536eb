/*
 * The C interface of lumen-core: both ends of a lumen/1 session.
 *
 * Generated from src/lumen-core/src/abi; do not edit. LUMEN_BLESS=1 scripts/test abi writes it.
 *
 * The library has no sockets, threads or clocks. Datagrams go in; datagrams, events and the next deadline come out.
 * After every call that takes something, and when the deadline has come, call *_poll_transmit and *_poll_event until
 * they return LUMEN_NOTHING. Times are microseconds of one monotonic clock with any beginning. A handle is for one
 * thread at a time, and what it points to is valid until the next call with it. Null pointers are refused, not followed.
 *
 * License: MIT OR Apache-2.0
 */

#ifndef LUMEN_CORE_H
#define LUMEN_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/*
 Major version of the ABI in the upper 16 bits, minor version in the lower. A library serves callers of its own major
 version and of any minor version up to its own.
 */
#define LUMEN_ABI_VERSION 65536

/*
 No deadline.
 */
#define LUMEN_NEVER UINT64_MAX

/*
 The clipboard may be used.
 */
#define LUMEN_GRANT_CLIPBOARD 1

/*
 The client's microphone may be used.
 */
#define LUMEN_GRANT_MICROPHONE 2

/*
 The pointer goes apart from the picture.
 */
#define LUMEN_GRANT_CURSOR 4

/*
 Interleaved blocks over GF(2^8).
 */
#define LUMEN_SCHEME_GF8X 1

/*
 One block over GF(2^16).
 */
#define LUMEN_SCHEME_GF16 2

/*
 A frame that refers to earlier ones.
 */
#define LUMEN_FRAME_P 1

/*
 A key frame.
 */
#define LUMEN_FRAME_IDR 2

/*
 A part of an intra refresh.
 */
#define LUMEN_FRAME_INTRA_REFRESH 4

/*
 A frame that refers to no frame that was invalidated.
 */
#define LUMEN_FRAME_AFTER_INVALIDATION 5

/*
 Later frames may refer to the frame.
 */
#define LUMEN_REFERENCE_SHORT 0

/*
 The frame is kept as a long-term reference.
 */
#define LUMEN_REFERENCE_LONG_TERM 1

/*
 No frame refers to the frame.
 */
#define LUMEN_REFERENCE_NONE 2

/*
 UTF-8 text in a clipboard.
 */
#define LUMEN_CLIPBOARD_TEXT 1

/*
 A PNG image in a clipboard.
 */
#define LUMEN_CLIPBOARD_PNG 2

/*
 What came of a call.
 */
enum LumenStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /*
     It was done.
     */
    LUMEN_OK = 0,
    /*
     There is nothing: no datagram, no event.
     */
    LUMEN_NOTHING = 1,
    /*
     A pointer is null, a length or a value is out of range.
     */
    LUMEN_BAD_ARGUMENT = 2,
    /*
     A structure is of a version that this library does not know.
     */
    LUMEN_BAD_VERSION = 3,
    /*
     The datagram, or a part of it, was not used. That is harmless.
     */
    LUMEN_DROPPED = 4,
    /*
     The client's address is not known yet.
     */
    LUMEN_NO_PATH = 5,
    /*
     It can't be sent; the handle's error text says why.
     */
    LUMEN_REFUSED = 6,
    /*
     The buffer is too small; the length that is needed was written.
     */
    LUMEN_TOO_SMALL = 7,
    /*
     The library failed. The handle can only be freed.
     */
    LUMEN_FAILED = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum LumenStatus LumenStatus;
#else
typedef int32_t LumenStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 What an event is about.
 */
enum LumenEventKind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /*
     Nothing.
     */
    LUMEN_EVENT_NONE = 0,
    /*
     Host: the client is at the address `value`. Client: the host is there.
     */
    LUMEN_EVENT_CONNECTED = 1,
    /*
     Client: frame `first`, `data`; captured at `value`; `flags` is 1 if what it refers to was lost.
     */
    LUMEN_EVENT_FRAME = 2,
    /*
     Client: frames `first` to `last` are lost.
     */
    LUMEN_EVENT_LOST = 3,
    /*
     Client: an Opus frame, `data`, number `first`, time `value`.
     */
    LUMEN_EVENT_AUDIO = 4,
    /*
     Client: an answer to an input device of type `first`, `data`.
     */
    LUMEN_EVENT_INPUT_ANSWER = 5,
    /*
     Client: the pointer is at `x`, `y` and has shape `first`; `flags` is 1 if it is visible.
     */
    LUMEN_EVENT_CURSOR_POSITION = 6,
    /*
     Client: shape `first` of the pointer has `x` × `y` pixels, `data`; `value` is the pixel that points, row × width + column.
     */
    LUMEN_EVENT_CURSOR_SHAPE = 7,
    /*
     Both: the clipboard of the other end holds `data`, of format `first`.
     */
    LUMEN_EVENT_CLIPBOARD = 8,
    /*
     Host: an input packet, `data`.
     */
    LUMEN_EVENT_INPUT = 9,
    /*
     Host: an Opus frame of the microphone, `data`, number `first`, time `value`.
     */
    LUMEN_EVENT_MICROPHONE = 10,
    /*
     Host: nothing may refer to frames `first` to `last`.
     */
    LUMEN_EVENT_INVALIDATE = 11,
    /*
     Host: the client needs a key frame.
     */
    LUMEN_EVENT_KEY_FRAME = 12,
    /*
     Host: frame `first` ended; `flags`: 0 complete, 1 restored, 2 lost; `x` shards arrived, `value` microseconds passed.
     */
    LUMEN_EVENT_FRAME_STATUS = 13,
    /*
     Host: receipts of packets of epoch `first`; `data` holds `LumenReceipt`s.
     */
    LUMEN_EVENT_RECEIPTS = 14,
    /*
     Host: a shard of frame `first` was sent again, in packet `value` of epoch `last`.
     */
    LUMEN_EVENT_RESENT = 15,
    /*
     Both: the session is over. `first` is the code of the other end, or 65535 if it was silent; `data` its text.
     */
    LUMEN_EVENT_ENDED = 16,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum LumenEventKind LumenEventKind;
#else
typedef int32_t LumenEventKind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 The client's end of a session.
 */
typedef struct LumenClient LumenClient;

/*
 The host's end of a session.
 */
typedef struct LumenHost LumenHost;

/*
 What a session needs to know. Fill it with zeros, then set `struct_size`, the keys and what else is wanted.
 */
typedef struct LumenConfig {
    /*
     `sizeof(LumenConfig)` of the caller.
     */
    uint32_t struct_size;
    /*
     The name of the session.
     */
    uint32_t session;
    /*
     The secret that both ends have.
     */
    uint8_t secret[32];
    /*
     Its length: 16 to 32.
     */
    uint32_t secret_len;
    /*
     The random bytes of the host.
     */
    uint8_t host_random[16];
    /*
     The random bytes of the client.
     */
    uint8_t client_random[16];
    /*
     Random bytes that are never used again; only a host needs them.
     */
    uint8_t seed[32];
    /*
     Longest datagram; 0 for 1452.
     */
    uint32_t datagram;
    /*
     Longest frame in bytes; 0 for 16 MiB.
     */
    uint32_t max_frame;
    /*
     Longest clipboard in bytes; 0 for 1 MiB.
     */
    uint32_t max_message;
    /*
     `LUMEN_GRANT_*`, added.
     */
    uint32_t grants;
    /*
     0, or the epoch after the last one in which an earlier end with the same keys may have sent.
     */
    uint32_t epoch;
} LumenConfig;

/*
 A frame to be sent.
 */
typedef struct LumenFrame {
    /*
     `sizeof(LumenFrame)` of the caller.
     */
    uint32_t struct_size;
    /*
     `LUMEN_FRAME_*`.
     */
    uint8_t kind;
    /*
     `LUMEN_REFERENCE_*`.
     */
    uint8_t reference;
    /*
     `LUMEN_SCHEME_*`.
     */
    uint8_t scheme;
    /*
     0.
     */
    uint8_t reserved;
    /*
     Parity shards; measure them against `lumen_host_data_shards`.
     */
    uint32_t parity;
    /*
     Microseconds after its capture for which the frame is of use; 0 without a limit.
     */
    uint32_t deadline_us;
    /*
     Microseconds from capture until now.
     */
    uint32_t host_latency_us;
    /*
     When it was captured, on the clock of `now_us`.
     */
    uint64_t captured_us;
    /*
     The encoder's output.
     */
    const uint8_t *data;
    /*
     Its length.
     */
    size_t len;
} LumenFrame;

/*
 The datagrams of a frame: one after another, all of one length. Valid until the next call with the host.
 */
typedef struct LumenDatagrams {
    /*
     The first byte of the first one.
     */
    const uint8_t *data;
    /*
     The length of each.
     */
    size_t stride;
    /*
     How many there are.
     */
    size_t count;
    /*
     Where they go.
     */
    uint64_t path;
    /*
     The number of the frame.
     */
    uint32_t frame;
    /*
     The epoch of its packets.
     */
    uint32_t epoch;
    /*
     The number of the first packet; the others follow it.
     */
    uint64_t first_packet;
} LumenDatagrams;

/*
 An event. Valid until the next call with the handle.
 */
typedef struct LumenEvent {
    /*
     `sizeof(LumenEvent)` of the caller; not more than that is written.
     */
    uint32_t struct_size;
    /*
     What it is about; the other members mean what is said there, or are 0.
     */
    LumenEventKind kind;
    /*
     See the kind.
     */
    uint32_t first;
    /*
     See the kind.
     */
    uint32_t last;
    /*
     See the kind.
     */
    int32_t x;
    /*
     See the kind.
     */
    int32_t y;
    /*
     See the kind.
     */
    uint64_t value;
    /*
     See the kind; null if there are no bytes.
     */
    const uint8_t *data;
    /*
     Bytes at `data`.
     */
    size_t len;
    /*
     See the kind.
     */
    uint32_t flags;
    /*
     0.
     */
    uint32_t reserved;
} LumenEvent;

/*
 When a packet arrived.
 */
typedef struct LumenReceipt {
    /*
     The packet.
     */
    uint64_t number;
    /*
     Microseconds of the client's clock; `LUMEN_NEVER` if it did not arrive yet.
     */
    uint64_t arrived_us;
} LumenReceipt;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of this library; compare its upper half with that of `LUMEN_ABI_VERSION`.
 */
uint32_t lumen_abi_version(void);

/*
 What a status means, as text that is never freed. Any number may be given.
 */
const char *lumen_status_text(int32_t status);

/*
 Makes the host's end of a session. `*out` is null unless it returns `LUMEN_OK`.

 # Safety
 `config` points to a `LumenConfig` of the size that it says; `out` is writable.
 */
LumenStatus lumen_host_new(const struct LumenConfig *config, uint64_t now_us, struct LumenHost **out);

/*
 Frees a host; null is fine.

 # Safety
 `host` is null or was made by `lumen_host_new` and not freed.
 */
void lumen_host_free(struct LumenHost *host);

/*
 Why the last call with this host failed; empty if none did.

 # Safety
 `host` is null or a host. The text is valid until the next call with it.
 */
const char *lumen_host_error(const struct LumenHost *host);

/*
 Takes a datagram from address `path` (any number that names it). It is deciphered in place: its content is gone.

 # Safety
 `host` is a host; `datagram` points to `len` writable bytes.
 */
LumenStatus lumen_host_receive(struct LumenHost *host,
                               uint64_t path,
                               uint8_t *datagram,
                               size_t len,
                               uint64_t now_us);

/*
 Makes the datagrams of a frame, which the caller sends at its own pace.

 # Safety
 `host` is a host; `frame` points to a `LumenFrame` of the size that it says, whose data is readable; `out` is writable.
 */
LumenStatus lumen_host_send_frame(struct LumenHost *host,
                                  const struct LumenFrame *frame,
                                  struct LumenDatagrams *out);

/*
 Data shards of a frame of `len` bytes; 0 for null.

 # Safety
 `host` is null or a host.
 */
size_t lumen_host_data_shards(const struct LumenHost *host, size_t len);

/*
 Sends an Opus frame whose first sample, at 48 kHz, is `timestamp`.

 # Safety
 `host` is a host; `data` points to `len` readable bytes.
 */
LumenStatus lumen_host_send_audio(struct LumenHost *host,
                                  const uint8_t *data,
                                  size_t len,
                                  uint32_t timestamp);

/*
 Sends new content of the clipboard; `format` is one of `LUMEN_CLIPBOARD_*`.

 # Safety
 `host` is a host; `data` points to `len` readable bytes.
 */
LumenStatus lumen_host_send_clipboard(struct LumenHost *host,
                                      uint32_t format,
                                      const uint8_t *data,
                                      size_t len);

/*
 Answers an input device: type and payload of annex B of the protocol.

 # Safety
 `host` is a host; `data` points to `len` readable bytes.
 */
LumenStatus lumen_host_send_input_answer(struct LumenHost *host,
                                         uint16_t kind,
                                         const uint8_t *data,
                                         size_t len);

/*
 Says to the client that the session is over; `code` is one of section 10 of the protocol.

 # Safety
 `host` is a host.
 */
LumenStatus lumen_host_close(struct LumenHost *host, uint16_t code);

/*
 The next datagram to be sent, other than those of frames: copies it to `buffer`, its length to `len`, and where it
 goes to `path`. `LUMEN_NOTHING` if there is none; `LUMEN_TOO_SMALL` if it does not fit, and it is kept then.

 # Safety
 `host` is a host; `buffer` points to `capacity` writable bytes; `len` and `path` are writable.
 */
LumenStatus lumen_host_poll_transmit(struct LumenHost *host,
                                     uint64_t now_us,
                                     uint8_t *buffer,
                                     size_t capacity,
                                     size_t *len,
                                     uint64_t *path);

/*
 The next event; `LUMEN_NOTHING` if there is none. Set `out->struct_size` before.

 # Safety
 `host` is a host; `out` points to a `LumenEvent` of the size that it says.
 */
LumenStatus lumen_host_poll_event(struct LumenHost *host, struct LumenEvent *out);

/*
 When `lumen_host_poll_transmit` is due at the latest, in the microseconds of `now_us`; `LUMEN_NEVER` for null too.

 # Safety
 `host` is null or a host.
 */
uint64_t lumen_host_deadline(const struct LumenHost *host);

/*
 Makes the client's end of a session. `*out` is null unless it returns `LUMEN_OK`.

 # Safety
 `config` points to a `LumenConfig` of the size that it says; `out` is writable.
 */
LumenStatus lumen_client_new(const struct LumenConfig *config, uint64_t now_us, struct LumenClient **out);

/*
 Frees a client; null is fine.

 # Safety
 `client` is null or was made by `lumen_client_new` and not freed.
 */
void lumen_client_free(struct LumenClient *client);

/*
 Why the last call with this client failed; empty if none did.

 # Safety
 `client` is null or a client. The text is valid until the next call with it.
 */
const char *lumen_client_error(const struct LumenClient *client);

/*
 Takes a datagram from the host. It is deciphered in place: its content is gone.

 # Safety
 `client` is a client; `datagram` points to `len` writable bytes.
 */
LumenStatus lumen_client_receive(struct LumenClient *client, uint8_t *datagram, size_t len, uint64_t now_us);

/*
 Sends an input packet of annex A of the protocol.

 # Safety
 `client` is a client; `data` points to `len` readable bytes.
 */
LumenStatus lumen_client_send_input(struct LumenClient *client, const uint8_t *data, size_t len);

/*
 Sends new content of the clipboard; `format` is one of `LUMEN_CLIPBOARD_*`.

 # Safety
 `client` is a client; `data` points to `len` readable bytes.
 */
LumenStatus lumen_client_send_clipboard(struct LumenClient *client,
                                        uint32_t format,
                                        const uint8_t *data,
                                        size_t len);

/*
 Sends an Opus frame of the microphone whose first sample, at 48 kHz, is `timestamp`.

 # Safety
 `client` is a client; `data` points to `len` readable bytes.
 */
LumenStatus lumen_client_send_microphone(struct LumenClient *client,
                                         const uint8_t *data,
                                         size_t len,
                                         uint32_t timestamp);

/*
 Asks for a key frame: the decoder lost its way.

 # Safety
 `client` is a client.
 */
LumenStatus lumen_client_request_key_frame(struct LumenClient *client);

/*
 Says to the host that the session is over; `code` is one of section 10 of the protocol.

 # Safety
 `client` is a client.
 */
LumenStatus lumen_client_close(struct LumenClient *client, uint16_t code);

/*
 The next datagram to be sent to the host: copies it to `buffer` and its length to `len`. `LUMEN_NOTHING` if there is
 none; `LUMEN_TOO_SMALL` if it does not fit, and it is kept then.

 # Safety
 `client` is a client; `buffer` points to `capacity` writable bytes; `len` is writable.
 */
LumenStatus lumen_client_poll_transmit(struct LumenClient *client,
                                       uint64_t now_us,
                                       uint8_t *buffer,
                                       size_t capacity,
                                       size_t *len);

/*
 The next event; `LUMEN_NOTHING` if there is none. Set `out->struct_size` before.

 # Safety
 `client` is a client; `out` points to a `LumenEvent` of the size that it says.
 */
LumenStatus lumen_client_poll_event(struct LumenClient *client, struct LumenEvent *out);

/*
 When `lumen_client_poll_transmit` is due at the latest, in the microseconds of `now_us`; `LUMEN_NEVER` for null too.

 # Safety
 `client` is null or a client.
 */
uint64_t lumen_client_deadline(const struct LumenClient *client);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LUMEN_CORE_H */
