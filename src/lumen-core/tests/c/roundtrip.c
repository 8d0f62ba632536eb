/* A host and a client of lumen/1 in one C program, over a network that loses every seventh datagram: frames must arrive
 * as they were sent or be reported as lost, input must arrive at the host, nothing may be read or written out of bounds.
 * It also calls everything with null and nonsense. Built against the header of this version and of earlier ones. */
#include "lumen_core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                       \
    do {                                                                                                       \
        if (!(condition)) {                                                                                    \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                      \
            exit(1);                                                                                           \
        }                                                                                                      \
    } while (0)

enum { FRAMES = 120, MAX_FRAME = 40000 };

static uint64_t now_us = 1000000;
static unsigned lost, sent;

/* Every seventh datagram is lost. */
static int arrives(void) {
    sent++;
    if (sent % 7 == 0) {
        lost++;
        return 0;
    }
    return 1;
}

static size_t frame_len(uint32_t number) { return 1 + (number * 997u) % MAX_FRAME; }

static uint8_t frame_byte(uint32_t number, size_t at) { return (uint8_t)(at * 31 + number * 7); }

static LumenConfig config(void) {
    LumenConfig config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.session = 42;
    config.secret_len = 16;
    for (int i = 0; i < 16; i++) {
        config.secret[i] = (uint8_t)i;
        config.host_random[i] = (uint8_t)(0xa0 + i);
        config.client_random[i] = (uint8_t)(0xc0 + i);
    }
    memset(config.seed, 9, sizeof config.seed);
    config.grants = LUMEN_GRANT_CLIPBOARD;
    return config;
}

/* Datagrams in both directions until there are none. */
static void exchange(LumenHost *host, LumenClient *client) {
    uint8_t buffer[2048];
    size_t len;
    uint64_t path;
    int busy = 1;
    while (busy) {
        busy = 0;
        while (lumen_client_poll_transmit(client, now_us, buffer, sizeof buffer, &len) == LUMEN_OK) {
            busy = 1;
            if (arrives()) {
                LumenStatus status = lumen_host_receive(host, 7, buffer, len, now_us);
                CHECK(status == LUMEN_OK || status == LUMEN_DROPPED);
            }
        }
        while (lumen_host_poll_transmit(host, now_us, buffer, sizeof buffer, &len, &path) == LUMEN_OK) {
            busy = 1;
            CHECK(path == 7);
            if (arrives()) {
                LumenStatus status = lumen_client_receive(client, buffer, len, now_us);
                CHECK(status == LUMEN_OK || status == LUMEN_DROPPED);
            }
        }
    }
}

static void nonsense(void) {
    LumenConfig good = config();
    LumenHost *host = (LumenHost *)&good;
    LumenClient *client = NULL;
    size_t len;
    uint64_t path;
    uint8_t byte = 0;
    CHECK(lumen_host_new(NULL, 0, &host) == LUMEN_BAD_ARGUMENT && host == NULL);
    CHECK(lumen_host_new(&good, 0, NULL) == LUMEN_BAD_ARGUMENT);
    LumenConfig bad = good;
    bad.struct_size = 4;
    CHECK(lumen_host_new(&bad, 0, &host) == LUMEN_BAD_VERSION && host == NULL);
    bad = good;
    bad.secret_len = 33;
    CHECK(lumen_client_new(&bad, 0, &client) == LUMEN_BAD_ARGUMENT && client == NULL);
    bad.secret_len = 15;
    CHECK(lumen_client_new(&bad, 0, &client) == LUMEN_BAD_ARGUMENT);
    bad = good;
    bad.datagram = 100;
    CHECK(lumen_client_new(&bad, 0, &client) == LUMEN_BAD_ARGUMENT);

    /* A caller of a later version: more members are fine as long as they say nothing. */
    struct {
        LumenConfig config;
        uint32_t later;
    } grown = {good, 0};
    grown.config.struct_size = sizeof grown;
    CHECK(lumen_host_new(&grown.config, 0, &host) == LUMEN_OK);
    lumen_host_free(host);
    grown.later = 1;
    CHECK(lumen_host_new(&grown.config, 0, &host) == LUMEN_BAD_VERSION);

    CHECK(lumen_host_receive(NULL, 0, &byte, 1, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_send_frame(NULL, NULL, NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_send_audio(NULL, NULL, 0, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_send_clipboard(NULL, 0, NULL, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_send_input_answer(NULL, 0, NULL, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_poll_transmit(NULL, 0, NULL, 0, NULL, NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_poll_event(NULL, NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_close(NULL, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_deadline(NULL) == LUMEN_NEVER);
    CHECK(lumen_host_data_shards(NULL, 1) == 0);
    CHECK(lumen_host_error(NULL)[0] == 0);
    lumen_host_free(NULL);
    CHECK(lumen_client_receive(NULL, &byte, 1, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_send_input(NULL, &byte, 1) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_send_clipboard(NULL, 0, NULL, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_send_microphone(NULL, NULL, 0, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_request_key_frame(NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_poll_transmit(NULL, 0, NULL, 0, NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_poll_event(NULL, NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_close(NULL, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_client_deadline(NULL) == LUMEN_NEVER);
    CHECK(lumen_client_error(NULL)[0] == 0);
    lumen_client_free(NULL);

    CHECK(lumen_host_new(&good, 0, &host) == LUMEN_OK);
    LumenFrame frame;
    LumenDatagrams datagrams;
    memset(&frame, 0, sizeof frame);
    frame.struct_size = sizeof frame;
    frame.kind = LUMEN_FRAME_IDR;
    frame.scheme = LUMEN_SCHEME_GF16;
    frame.data = &byte;
    frame.len = 1;
    CHECK(lumen_host_send_frame(host, NULL, &datagrams) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_send_frame(host, &frame, NULL) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_send_frame(host, &frame, &datagrams) == LUMEN_NO_PATH);
    frame.len = (size_t)-1;
    CHECK(lumen_host_send_frame(host, &frame, &datagrams) == LUMEN_BAD_ARGUMENT);
    frame.data = NULL;
    frame.len = 5;
    CHECK(lumen_host_send_frame(host, &frame, &datagrams) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_receive(host, 0, NULL, 5, 0) == LUMEN_BAD_ARGUMENT);
    CHECK(lumen_host_receive(host, 0, &byte, 1, 0) == LUMEN_DROPPED);
    CHECK(strlen(lumen_host_error(host)) > 0);
    LumenEvent small;
    memset(&small, 0, sizeof small);
    small.struct_size = 8;
    CHECK(lumen_host_poll_event(host, &small) == LUMEN_BAD_VERSION);
    lumen_host_free(host);

    /* A datagram that found no room is kept. */
    CHECK(lumen_client_new(&good, 0, &client) == LUMEN_OK);
    uint8_t room[2048];
    CHECK(lumen_client_poll_transmit(client, 0, room, 10, &len) == LUMEN_TOO_SMALL && len > 10);
    size_t needed = len;
    CHECK(lumen_client_poll_transmit(client, 0, room, sizeof room, &len) == LUMEN_OK && len == needed);
    CHECK(lumen_client_send_input(client, room, 3) == LUMEN_BAD_ARGUMENT);
    CHECK(strlen(lumen_client_error(client)) > 0);
    CHECK(lumen_client_send_microphone(client, room, 3, 0) == LUMEN_REFUSED);
    lumen_client_free(client);
    (void)path;
    for (int status = -1; status < 12; status++) CHECK(strlen(lumen_status_text(status)) > 0);
}

int main(void) {
    CHECK(lumen_abi_version() >> 16 == LUMEN_ABI_VERSION >> 16 && lumen_abi_version() >= LUMEN_ABI_VERSION);
    nonsense();

    LumenConfig both = config();
    LumenHost *host;
    LumenClient *client;
    CHECK(lumen_host_new(&both, now_us, &host) == LUMEN_OK);
    CHECK(lumen_client_new(&both, now_us, &client) == LUMEN_OK);

    static uint8_t data[MAX_FRAME];
    static uint8_t datagram[2048];
    unsigned shown = 0, missed = 0, inputs = 0, receipts = 0, status = 0, resent = 0, texts = 0, connected = 0;
    uint32_t next = 1, number = 0;
    /* Left button down, and up. */
    const uint8_t press[9] = {0, 0, 0, 5, 8, 0, 0, 0, 1}, release[9] = {0, 0, 0, 5, 9, 0, 0, 0, 1};

    for (unsigned tick = 0; tick < 6000; tick++) {
        exchange(host, client);
        CHECK(lumen_host_deadline(host) > now_us && lumen_client_deadline(client) > now_us);
        if (connected && number < FRAMES && tick % 16 == 0) {
            size_t len = frame_len(number + 1);
            for (size_t at = 0; at < len; at++) data[at] = frame_byte(number + 1, at);
            LumenFrame frame;
            memset(&frame, 0, sizeof frame);
            frame.struct_size = sizeof frame;
            frame.kind = number % 30 == 0 ? LUMEN_FRAME_IDR : LUMEN_FRAME_P;
            frame.scheme = number % 2 ? LUMEN_SCHEME_GF16 : LUMEN_SCHEME_GF8X;
            frame.parity = 1 + (uint32_t)lumen_host_data_shards(host, len) / 10;
            frame.captured_us = now_us;
            frame.deadline_us = 150000;
            frame.data = data;
            frame.len = len;
            LumenDatagrams out;
            CHECK(lumen_host_send_frame(host, &frame, &out) == LUMEN_OK);
            CHECK(out.frame == number + 1 && out.path == 7 && out.stride <= 1452);
            for (size_t i = 0; i < out.count; i++) {
                if (!arrives()) continue;
                memcpy(datagram, out.data + i * out.stride, out.stride);
                LumenStatus taken = lumen_client_receive(client, datagram, out.stride, now_us);
                CHECK(taken == LUMEN_OK || taken == LUMEN_DROPPED);
            }
            number++;
            if (number <= 20) CHECK(lumen_client_send_input(client, number % 2 ? press : release, 9) == LUMEN_OK);
            if (number == 5) CHECK(lumen_client_send_clipboard(client, LUMEN_CLIPBOARD_TEXT, (const uint8_t *)"text", 4) == LUMEN_OK);
        }
        LumenEvent event;
        memset(&event, 0, sizeof event);
        event.struct_size = sizeof event;
        while (lumen_host_poll_event(host, &event) == LUMEN_OK) {
            switch (event.kind) {
            case LUMEN_EVENT_CONNECTED: connected = 1; CHECK(event.value == 7); break;
            case LUMEN_EVENT_INPUT:
                CHECK(event.len == 9 && memcmp(event.data, inputs % 2 ? release : press, 9) == 0);
                inputs++;
                break;
            case LUMEN_EVENT_RECEIPTS:
                for (size_t i = 0; i < event.len / sizeof(LumenReceipt); i++) {
                    LumenReceipt receipt;
                    memcpy(&receipt, event.data + i * sizeof receipt, sizeof receipt);
                    receipts += receipt.arrived_us != LUMEN_NEVER;
                }
                break;
            case LUMEN_EVENT_FRAME_STATUS: status++; break;
            case LUMEN_EVENT_RESENT: resent++; break;
            case LUMEN_EVENT_CLIPBOARD: texts++; CHECK(event.len == 4 && memcmp(event.data, "text", 4) == 0); break;
            case LUMEN_EVENT_ENDED: CHECK(!"the session goes on"); break;
            default: break;
            }
        }
        while (lumen_client_poll_event(client, &event) == LUMEN_OK) {
            switch (event.kind) {
            case LUMEN_EVENT_FRAME:
                CHECK(event.first == next && event.len == frame_len(event.first));
                for (size_t at = 0; at < event.len; at++) CHECK(event.data[at] == frame_byte(event.first, at));
                next++;
                shown++;
                break;
            case LUMEN_EVENT_LOST:
                CHECK(event.first == next && event.last >= event.first);
                missed += event.last - event.first + 1;
                next = event.last + 1;
                break;
            case LUMEN_EVENT_ENDED: CHECK(!"the session goes on"); break;
            default: break;
            }
        }
        now_us += 1000;
    }
    printf("%u datagrams, %u lost; %u frames: %u shown, %u lost; %u shards sent again, %u receipts, %u inputs\n", sent, lost,
           number, shown, missed, resent, receipts, inputs);
    CHECK(number == FRAMES && shown + missed == FRAMES && shown > FRAMES * 9 / 10);
    CHECK(inputs == 20 && texts == 1 && receipts > 0 && status > 0 && resent > 0 && lost > 0);

    CHECK(lumen_client_close(client, 0) == LUMEN_OK);
    lumen_client_free(client);
    lumen_host_free(host);
    return 0;
}
