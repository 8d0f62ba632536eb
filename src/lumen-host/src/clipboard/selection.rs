//! The clipboard of a seat by data control: `ext_data_control_v1`, or `zwlr_data_control_unstable_v1` where a compositor
//! has only that. The two differ in their names.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use lumen_core::lumen1::message::ClipboardFormat;
use rustix::event::{PollFd, PollFlags};
use wayland_client::backend::ObjectId;
use wayland_client::protocol::wl_seat::WlSeat;
use wayland_client::{Connection, Dispatch, Proxy, QueueHandle, delegate_noop, event_created_child};
use wayland_protocols::ext::data_control::v1::client as ext;
use wayland_protocols_wlr::data_control::v1::client as wlr;

use ext::ext_data_control_device_v1::{self, ExtDataControlDeviceV1};
use ext::ext_data_control_manager_v1::ExtDataControlManagerV1;
use ext::ext_data_control_offer_v1::{self, ExtDataControlOfferV1};
use ext::ext_data_control_source_v1::{self, ExtDataControlSourceV1};
use wlr::zwlr_data_control_device_v1::{self, ZwlrDataControlDeviceV1};
use wlr::zwlr_data_control_manager_v1::ZwlrDataControlManagerV1;
use wlr::zwlr_data_control_offer_v1::{self, ZwlrDataControlOfferV1};
use wlr::zwlr_data_control_source_v1::{self, ZwlrDataControlSourceV1};

use super::transfer::{Reading, TransferError, Writing};
use super::{ClipboardPlace, Content, MOST};
use crate::net::wake::Waker;
use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// How long the compositor may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest sleep.
const MAX_SLEEP: Duration = Duration::from_secs(1);
/// Programs that may take a content at the same time; the oldest goes for one more.
const MOST_WRITINGS: usize = 16;
/// Types of an offer that are looked at.
const MOST_TYPES: usize = 64;

/// A type that marks what comes from the client.
const OURS: &str = "application/x-lumen-client";
/// What password managers mark with.
const SECRET: &str = "x-kde-passwordManagerHint";
/// Types of text, the best first.
const TEXT: [&str; 5] = ["text/plain;charset=utf-8", "UTF8_STRING", "text/plain", "STRING", "TEXT"];
/// The type of images.
const IMAGE: &str = "image/png";

/// What of an offer is taken: its type, and what it is.
fn choose(types: &[String]) -> Option<(&'static str, ClipboardFormat)> {
    let has = |wanted: &str| types.iter().any(|offered| offered == wanted);
    if has(OURS) || has(SECRET) {
        return None;
    }
    let text = TEXT.into_iter().find(|wanted| has(wanted)).map(|wanted| (wanted, ClipboardFormat::Text));
    text.or_else(|| has(IMAGE).then_some((IMAGE, ClipboardFormat::Png)))
}

/// Shares the clipboard until `stop`.
///
/// # Errors
/// If the compositor cannot be talked to, or lets nobody have its clipboard.
pub fn serve(
    place: &ClipboardPlace,
    orders: &Receiver<Content>,
    wake: &Waker,
    stop: &AtomicBool,
    told: &dyn Fn(Content),
) -> Result<(), LinkError> {
    let mut state = State::default();
    let mut link = Link::open(&place.socket, &mut state, Instant::now() + PATIENCE)?;
    let manager = Manager::bind(&link, &mut state)?;
    let seat = match &place.seat {
        Some(name) => state.desk.seat(name)?,
        None => state.desk.any_seat()?,
    };
    let device = manager.device(&seat, &link.handle());
    let mut desk = Transfers::default();
    while !stop.load(Ordering::Relaxed) && !state.finished {
        if let Some(content) = orders.try_iter().last() {
            desk.passed = Some(content.clone());
            state.own = Some((device.set(&manager, &content, &link.handle()), content));
        }
        let until = desk.until().map_or(MAX_SLEEP, |until| until.saturating_duration_since(Instant::now()));
        let mut others = vec![PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN)];
        others.extend(desk.waits());
        link.pump_beside(&mut state, Instant::now() + until.min(MAX_SLEEP), &others)?;
        wake.reset();
        let now = Instant::now();
        for (pipe, content) in state.requests.drain(..) {
            desk.give(pipe, content, now);
        }
        if let Some(selected) = state.news.take() {
            desk.reading = None;
            if let Some((offer, types)) = selected.and_then(|id| state.offers.get(&id))
                && let Some((mime, format)) = choose(types)
            {
                match Reading::begin(now) {
                    Ok((reading, pipe)) => {
                        offer.receive(mime, pipe.as_fd());
                        // The compositor has its own copy with the next flush; ours must close for the end to be seen.
                        link.flush()?;
                        desk.reading = Some((reading, format));
                    }
                    Err(error) => tracing::warn!(%error, "what was copied in the session is not sent"),
                }
            }
        }
        if let Some(content) = desk.step(now) {
            told(content);
        }
    }
    Ok(())
}

/// What is on its way.
#[derive(Default)]
struct Transfers {
    reading: Option<(Reading, ClipboardFormat)>,
    writings: Vec<Writing>,
    /// What passed last, whichever way. It does not pass again: programs that look after the clipboard take over what others
    /// copied.
    passed: Option<Content>,
}

impl Transfers {
    fn until(&self) -> Option<Instant> {
        let reading = self.reading.iter().map(|(reading, _)| reading.until());
        reading.chain(self.writings.iter().map(Writing::until)).min()
    }

    fn waits(&self) -> impl Iterator<Item = PollFd<'_>> {
        let reading = self.reading.iter().map(|(reading, _)| PollFd::new(reading, PollFlags::IN));
        reading.chain(self.writings.iter().map(|writing| PollFd::new(writing, PollFlags::OUT)))
    }

    fn give(&mut self, pipe: OwnedFd, content: Content, now: Instant) {
        match Writing::begin(pipe, content, now) {
            Ok(writing) => {
                if self.writings.len() == MOST_WRITINGS {
                    self.writings.remove(0);
                }
                self.writings.push(writing);
            }
            Err(error) => tracing::debug!(%error, "a program does not get what the client copied"),
        }
    }

    /// Moves what can be moved; a content of a program's that is complete and new.
    fn step(&mut self, now: Instant) -> Option<Content> {
        self.writings.retain_mut(|writing| writing.step(now));
        let (reading, format) = self.reading.as_mut()?;
        let (read, format) = (reading.step(now)?, *format);
        self.reading = None;
        let bytes = read
            .inspect_err(|error| match error {
                TransferError::TooLong => {
                    tracing::warn!(most = MOST, "what was copied in the session is too long to be sent to its client");
                }
                error => tracing::warn!(%error, "what was copied in the session is not sent"),
            })
            .ok()?;
        let content = Content::new(format, bytes).or_else(|| {
            tracing::debug!(?format, "what was copied in the session is not what its program said");
            None
        })?;
        if self.passed.as_ref() == Some(&content) || content.bytes().is_empty() {
            return None;
        }
        self.passed = Some(content.clone());
        Some(content)
    }
}

#[derive(Default)]
struct State {
    desk: Desk,
    /// Offers, with their types.
    offers: HashMap<ObjectId, (Offer, Vec<String>)>,
    /// What is on the clipboard since it was last looked at: an offer, or nothing.
    news: Option<Option<ObjectId>>,
    /// What the client copied, as long as nobody else copied something.
    own: Option<(Source, Content)>,
    /// Programs that want it.
    requests: Vec<(OwnedFd, Content)>,
    /// The seat is gone.
    finished: bool,
}

wayland_state!(State);

impl State {
    fn offered(&mut self, offer: Offer) {
        self.offers.insert(offer.id(), (offer, Vec::new()));
    }

    fn has_type(&mut self, offer: &ObjectId, name: String) {
        if let Some((_, types)) = self.offers.get_mut(offer)
            && types.len() < MOST_TYPES
        {
            types.push(name);
        }
    }

    /// This is on the clipboard now; earlier offers are of no use any more.
    fn selected(&mut self, offer: Option<ObjectId>) {
        self.offers.retain(|id, (known, _)| {
            let kept = offer.as_ref() == Some(id);
            if !kept {
                known.destroy();
            }
            kept
        });
        self.news = Some(offer);
    }

    fn forget(&mut self, offer: &ObjectId) {
        if let Some((offer, _)) = self.offers.remove(offer) {
            offer.destroy();
        }
    }

    fn wanted(&mut self, source: &ObjectId, pipe: OwnedFd) {
        if let Some((own, content)) = &self.own
            && own.id() == *source
        {
            self.requests.push((pipe, content.clone()));
        }
    }

    fn cancelled(&mut self, source: &ObjectId) {
        self.own.take_if(|(own, _)| own.id() == *source);
    }
}

/// Writes what is the same for both protocols, but for the names.
macro_rules! protocols {
    ($($variant:ident: $manager:ty, $device:ty, $offer:ty, $source:ty, $devices:ident, $offers:ident, $sources:ident;)*) => {
        enum Manager { $($variant($manager),)* }
        enum Device { $($variant($device),)* }
        enum Offer { $($variant($offer),)* }
        enum Source { $($variant($source),)* }

        impl Manager {
            /// The first that the compositor has.
            fn bind(link: &Link<State>, state: &mut State) -> Result<Self, LinkError> {
                $(if let Some(manager) = link.bind(state, 1) {
                    return Ok(Self::$variant(manager));
                })*
                Err(LinkError::Missing("the compositor lets nobody have its clipboard: it has no data control".to_owned()))
            }

            fn device(&self, seat: &WlSeat, queue: &QueueHandle<State>) -> Device {
                match self { $(Self::$variant(manager) => Device::$variant(manager.get_data_device(seat, queue, ())),)* }
            }
        }

        impl Device {
            /// Puts `content` on the clipboard.
            fn set(&self, manager: &Manager, content: &Content, queue: &QueueHandle<State>) -> Source {
                let types = match content.format() {
                    ClipboardFormat::Text => &TEXT[..],
                    ClipboardFormat::Png => &[IMAGE],
                };
                match (self, manager) {
                    $((Self::$variant(device), Manager::$variant(manager)) => {
                        let source = manager.create_data_source(queue, ());
                        types.iter().chain(&[OURS]).for_each(|name| source.offer((*name).to_owned()));
                        device.set_selection(Some(&source));
                        Source::$variant(source)
                    })*
                    _ => unreachable!("a device is of its manager's protocol"),
                }
            }
        }

        impl Offer {
            fn id(&self) -> ObjectId {
                match self { $(Self::$variant(offer) => offer.id(),)* }
            }

            fn receive(&self, name: &str, pipe: BorrowedFd<'_>) {
                match self { $(Self::$variant(offer) => offer.receive(name.to_owned(), pipe),)* }
            }

            fn destroy(&self) {
                match self { $(Self::$variant(offer) => offer.destroy(),)* }
            }
        }

        impl Source {
            fn id(&self) -> ObjectId {
                match self { $(Self::$variant(source) => source.id(),)* }
            }
        }

        $(
        delegate_noop!(State: $manager);

        impl Dispatch<$device, ()> for State {
            fn event(
                state: &mut Self,
                _: &$device,
                event: $devices::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                match event {
                    $devices::Event::DataOffer { id } => state.offered(Offer::$variant(id)),
                    $devices::Event::Selection { id } => state.selected(id.map(|id| id.id())),
                    $devices::Event::PrimarySelection { id: Some(id) } => state.forget(&id.id()),
                    $devices::Event::Finished => state.finished = true,
                    _ => {}
                }
            }

            event_created_child!(State, $device, [$devices::EVT_DATA_OFFER_OPCODE => ($offer, ())]);
        }

        impl Dispatch<$offer, ()> for State {
            fn event(
                state: &mut Self,
                offer: &$offer,
                event: $offers::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                if let $offers::Event::Offer { mime_type } = event {
                    state.has_type(&offer.id(), mime_type);
                }
            }
        }

        impl Dispatch<$source, ()> for State {
            fn event(
                state: &mut Self,
                source: &$source,
                event: $sources::Event,
                (): &(),
                _: &Connection,
                _: &QueueHandle<Self>,
            ) {
                match event {
                    $sources::Event::Send { fd, .. } => state.wanted(&source.id(), fd),
                    $sources::Event::Cancelled => {
                        state.cancelled(&source.id());
                        source.destroy();
                    }
                    _ => {}
                }
            }
        }
        )*
    };
}

protocols! {
    Ext: ExtDataControlManagerV1, ExtDataControlDeviceV1, ExtDataControlOfferV1, ExtDataControlSourceV1,
        ext_data_control_device_v1, ext_data_control_offer_v1, ext_data_control_source_v1;
    Wlr: ZwlrDataControlManagerV1, ZwlrDataControlDeviceV1, ZwlrDataControlOfferV1, ZwlrDataControlSourceV1,
        zwlr_data_control_device_v1, zwlr_data_control_offer_v1, zwlr_data_control_source_v1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(types: &[&str]) -> Option<(&'static str, ClipboardFormat)> {
        choose(&types.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn text_comes_before_images_and_what_is_the_clients_or_secret_is_left() {
        assert_eq!(chosen(&["image/png", "TEXT", "UTF8_STRING"]), Some(("UTF8_STRING", ClipboardFormat::Text)));
        assert_eq!(chosen(&["text/html", "image/png"]), Some(("image/png", ClipboardFormat::Png)));
        assert_eq!(chosen(&["text/html", "image/jpeg"]), None);
        assert_eq!(chosen(&["text/plain", OURS]), None);
        assert_eq!(chosen(&["text/plain", SECRET]), None);
    }

    #[test]
    fn what_passed_last_does_not_pass_again() {
        let now = Instant::now();
        let mut transfers = Transfers::default();
        let mut copy = |text: &str| {
            let (reading, pipe) = Reading::begin(now).expect("a pipe");
            rustix::io::write(&pipe, text.as_bytes()).expect("written");
            drop(pipe);
            transfers.reading = Some((reading, ClipboardFormat::Text));
            transfers.step(now).map(|content| content.bytes().to_vec())
        };
        assert_eq!(copy("a"), Some(b"a".to_vec()));
        assert_eq!(copy("a"), None);
        assert_eq!(copy(""), None);
        assert_eq!(copy("b"), Some(b"b".to_vec()));
        assert_eq!(copy("a"), Some(b"a".to_vec()));
    }
}
