//! The clipboard of Mutter, by the RemoteDesktop session that the session's monitor is linked with.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake};
use std::time::{Duration, Instant};

use futures_core::Stream;
use lumen_core::lumen1::message::ClipboardFormat;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use zbus::blocking::Proxy;
use zbus::proxy::SignalStream;
use zbus::zvariant::{OwnedFd, OwnedValue, Structure, Value};

use super::transfer::{Outgoing, Transfers};
use super::{Content, IMAGE, OURS, TEXT, choose};
use crate::input::mutter::SharedTarget;
use crate::net::wake::Waker;

/// Longest sleep: so often it is looked whether the monitor was made anew.
const MAX_SLEEP: Duration = Duration::from_secs(1);

struct Alarm(Waker);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

/// Shares the clipboard until `stop`.
///
/// # Errors
/// In words, if Mutter does not let it be shared.
pub fn serve(
    target: &SharedTarget,
    orders: &Receiver<Content>,
    wake: &Waker,
    stop: &AtomicBool,
    told: &dyn Fn(Content),
) -> Result<(), String> {
    let mut transfers = Transfers::default();
    while !stop.load(Ordering::Relaxed) {
        let session = session_of(target);
        let said = |what: &'static str| move |error: zbus::Error| format!("{what}: {error}");
        let signals = |name| zbus::block_on(session.inner().receive_signal(name)).map_err(said(name));
        let (changes, transfers_wanted) = (signals("SelectionOwnerChanged")?, signals("SelectionTransfer")?);
        let nothing: HashMap<&str, Value<'_>> = HashMap::new();
        let () = session.call("EnableClipboard", &(nothing,)).map_err(said("EnableClipboard"))?;
        let mut shared = Shared { session: &session, changes, transfers_wanted, wake, own: None };
        let same = || session_of(target).path() == session.path();
        while !stop.load(Ordering::Relaxed) && same() {
            shared.step(&mut transfers, orders, told)?;
        }
        // A session that is gone has nothing to be ended.
        let _ = session.call_noreply("DisableClipboard", &());
    }
    Ok(())
}

fn session_of(target: &SharedTarget) -> Proxy<'static> {
    target.lock().unwrap_or_else(PoisonError::into_inner).session.clone()
}

struct Shared<'a> {
    session: &'a Proxy<'static>,
    changes: SignalStream<'static>,
    transfers_wanted: SignalStream<'static>,
    wake: &'a Waker,
    /// What the client copied, as long as nobody else copied something.
    own: Option<Content>,
}

impl Shared<'_> {
    fn step(
        &mut self,
        transfers: &mut Transfers,
        orders: &Receiver<Content>,
        told: &dyn Fn(Content),
    ) -> Result<(), String> {
        if let Some(content) = orders.try_iter().last() {
            let types = match content.format() {
                ClipboardFormat::Text => &TEXT[..],
                ClipboardFormat::Png => &[IMAGE],
            };
            let types: Vec<&str> = types.iter().copied().chain([OURS]).collect();
            let options = HashMap::from([("mime-types", Value::from(types))]);
            let () =
                self.session.call("SetSelection", &(options,)).map_err(|error| format!("SetSelection: {error}"))?;
            transfers.passed(&content);
            self.own = Some(content);
        }
        let alarm = std::task::Waker::from(Arc::new(Alarm(self.wake.clone())));
        let mut context = Context::from_waker(&alarm);
        while let Some(signal) = next(&mut self.changes, &mut context)? {
            let options: HashMap<String, OwnedValue> =
                signal.body().deserialize().map_err(|error| error.to_string())?;
            self.changed(transfers, &options);
        }
        while let Some(signal) = next(&mut self.transfers_wanted, &mut context)? {
            let (_, serial): (String, u32) = signal.body().deserialize().map_err(|error| error.to_string())?;
            self.wanted(transfers, serial);
        }
        let now = Instant::now();
        if let Some(content) = transfers.step(now) {
            told(content);
        }
        for serial in transfers.finished.drain(..) {
            let _ = self.session.call_noreply("SelectionWriteDone", &(serial, true));
        }
        let sleep = transfers.until().map_or(MAX_SLEEP, |until| until.saturating_duration_since(now)).min(MAX_SLEEP);
        let timeout = Timespec { tv_sec: sleep.as_secs() as i64, tv_nsec: sleep.subsec_nanos().into() };
        let mut waits = vec![PollFd::from_borrowed_fd(self.wake.as_fd(), PollFlags::IN)];
        waits.extend(transfers.waits());
        // An interrupted sleep is only a short one.
        let _ = poll(&mut waits, Some(&timeout));
        self.wake.reset();
        Ok(())
    }

    /// Somebody copied something.
    fn changed(&mut self, transfers: &mut Transfers, options: &HashMap<String, OwnedValue>) {
        let is_ours = options.get("session-is-owner").and_then(|value| bool::try_from(value).ok()).unwrap_or_default();
        transfers.forget();
        if is_ours {
            return;
        }
        self.own = None;
        let types = options.get("mime-types").map(types_of).unwrap_or_default();
        let Some((mime, format)) = choose(&types) else { return };
        let read: zbus::Result<OwnedFd> = self.session.call("SelectionRead", &(mime,));
        let begun = read.map_err(|error| error.to_string()).and_then(|pipe| {
            transfers.take_from(pipe.into(), format, Instant::now()).map_err(|error| error.to_string())
        });
        if let Err(error) = begun {
            tracing::warn!(error, "what was copied in the session is not sent");
        }
    }

    /// A program pastes what the client copied.
    fn wanted(&mut self, transfers: &mut Transfers, serial: u32) {
        let pipe: zbus::Result<OwnedFd> = self.session.call("SelectionWrite", &(serial,));
        match (pipe, &self.own) {
            (Ok(pipe), Some(content)) => {
                transfers.give(Outgoing { pipe: pipe.into(), content: content.clone(), name: serial }, Instant::now());
            }
            (Ok(_), None) => _ = self.session.call_noreply("SelectionWriteDone", &(serial, false)),
            (Err(error), _) => tracing::debug!(%error, "a program does not get what the client copied"),
        }
    }
}

/// The next signal that has come.
fn next(stream: &mut SignalStream<'static>, context: &mut Context<'_>) -> Result<Option<zbus::Message>, String> {
    match Pin::new(stream).poll_next(context) {
        Poll::Ready(Some(signal)) => Ok(Some(signal)),
        Poll::Ready(None) => Err("the message bus is gone".to_owned()),
        Poll::Pending => Ok(None),
    }
}

/// The types of an offer: a list, which some versions put into a structure.
fn types_of(value: &OwnedValue) -> Vec<String> {
    let list = |value: &Value<'_>| -> Option<Vec<String>> { Vec::<String>::try_from(value.try_clone().ok()?).ok() };
    match &**value {
        Value::Structure(structure) => first(structure).and_then(list).unwrap_or_default(),
        value => list(value).unwrap_or_default(),
    }
}

fn first<'a>(structure: &'a Structure<'_>) -> Option<&'a Value<'a>> {
    structure.fields().first()
}
