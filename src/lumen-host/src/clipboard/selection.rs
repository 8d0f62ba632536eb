//! The clipboard of a seat by data control: `ext_data_control_v1`, or `zwlr_data_control_unstable_v1` where a compositor
//! has only that. The two differ in their names.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
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

use super::transfer::{Outgoing, Transfers};
use super::{Content, IMAGE, OURS, TEXT, choose};
use crate::net::wake::Waker;
use crate::wayland::{Desk, Link, LinkError, wayland_state};

/// How long the compositor may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Longest sleep.
const MAX_SLEEP: Duration = Duration::from_secs(1);
/// Types of an offer that are looked at.
const MOST_TYPES: usize = 64;

/// Shares the clipboard until `stop`.
///
/// # Errors
/// If the compositor cannot be talked to, or lets nobody have its clipboard.
pub fn serve(
    socket: &Path,
    seat: Option<&str>,
    orders: &Receiver<Content>,
    wake: &Waker,
    stop: &AtomicBool,
    told: &dyn Fn(Content),
) -> Result<(), LinkError> {
    let mut state = State::default();
    let mut link = Link::open(socket, &mut state, Instant::now() + PATIENCE)?;
    let manager = Manager::bind(&link, &mut state)?;
    let seat = match seat {
        Some(name) => state.desk.seat(name)?,
        None => state.desk.any_seat()?,
    };
    let device = manager.device(&seat, &link.handle());
    let mut transfers = Transfers::default();
    while !stop.load(Ordering::Relaxed) && !state.finished {
        if let Some(content) = orders.try_iter().last() {
            transfers.passed(&content);
            state.own = Some((device.set(&manager, &content, &link.handle()), content));
        }
        let until = transfers.until().map_or(MAX_SLEEP, |until| until.saturating_duration_since(Instant::now()));
        let mut others = vec![PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN)];
        others.extend(transfers.waits());
        link.pump_beside(&mut state, Instant::now() + until.min(MAX_SLEEP), &others)?;
        wake.reset();
        let now = Instant::now();
        for (pipe, content) in state.requests.drain(..) {
            transfers.give(Outgoing { pipe, content, name: 0 }, now);
        }
        if let Some(selected) = state.news.take() {
            transfers.forget();
            if let Some((offer, types)) = selected.and_then(|id| state.offers.get(&id))
                && let Some((mime, format)) = choose(types)
            {
                match std::io::pipe() {
                    Ok((reader, writer)) => {
                        offer.receive(mime, writer.as_fd());
                        link.flush()?;
                        if let Err(error) = transfers.take_from(reader.into(), format, now) {
                            tracing::warn!(%error, "what was copied in the session is not sent");
                        }
                    }
                    Err(error) => tracing::warn!(%error, "what was copied in the session is not sent"),
                }
            }
        }
        if let Some(content) = transfers.step(now) {
            told(content);
        }
        // Nobody here wants to know who has had enough.
        transfers.finished.clear();
    }
    Ok(())
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
