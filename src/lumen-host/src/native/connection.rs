//! One connection: handshake, the control stream, its end. Everything that a stranger can draw out has a limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use lumen_core::lumen1::native::{Inbox, PAIRING_LABEL, RawMessage, Refusal, Reply, Request, SECRET_LABEL, SECRET_LEN};
use quinn::{Connection, Incoming};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout, timeout_at};

use super::conversation::{Conversation, Peer};
use super::{Shared, code};

/// Time for the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for a stranger to become known. It waits five minutes for its PIN.
const STRANGER: Duration = Duration::from_secs(6 * 60);
/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// Serves one connection to its end.
pub(super) async fn serve(incoming: Incoming, client: SocketAddr, shared: &Arc<Shared>) -> anyhow::Result<()> {
    let connection = timeout(HANDSHAKE, incoming.accept()?).await.context("the handshake took too long")??;
    let stranger_until = Instant::now() + STRANGER;
    let mut conversation = Conversation::new(peer(&connection, client)?, Arc::clone(shared));
    let opened = timeout(HANDSHAKE, connection.accept_bi()).await;
    let (mut answers, mut requests) = opened.context("no control stream was opened")??;
    let (mut inbox, mut buffer) = (Inbox::default(), vec![0; READ]);
    loop {
        while let Some(message) = inbox.poll() {
            // What waits for a person ends with the connection.
            let answer = tokio::select! {
                answer = answer(&mut conversation, &message) => answer,
                end = connection.closed() => return Err(end.into()),
            };
            if let Some(answer) = answer {
                let mut bytes = Vec::new();
                answer.to_message().write(&mut bytes).context("a reply is too long")?;
                answers.write_all(&bytes).await?;
            }
        }
        let read = requests.read(&mut buffer);
        let until = conversation.confirm_until().or((!conversation.is_known()).then_some(stranger_until));
        let read = match until {
            None => read.await?,
            Some(until) => {
                let Ok(read) = timeout_at(until, read).await else {
                    connection.close(code::REFUSED.into(), b"pairing took too long");
                    bail!("pairing took too long");
                };
                read?
            }
        };
        match read {
            Some(length) => inbox.push(&buffer[..length]),
            // The client has nothing to ask any more.
            None => return Ok(()),
        }
    }
}

async fn answer(conversation: &mut Conversation, message: &RawMessage) -> Option<Reply> {
    match Request::parse(message) {
        Ok(Some(request)) => Some(conversation.answer(request).await),
        Ok(None) => None,
        Err(error) => Some(Reply::Refused { refusal: Refusal::BadRequest, text: error.to_string() }),
    }
}

/// Who is at the other end, and what TLS has for the two alone.
fn peer(connection: &Connection, address: SocketAddr) -> anyhow::Result<Peer> {
    let chain =
        connection.peer_identity().and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certificate = chain.and_then(|chain| chain.first().map(|certificate| certificate.to_vec()));
    let exported = |label| -> anyhow::Result<[u8; SECRET_LEN]> {
        let mut bytes = [0; SECRET_LEN];
        let exported = connection.export_keying_material(&mut bytes, label, &[]);
        exported.map_err(|error| anyhow::anyhow!("nothing can be exported: {error:?}"))?;
        Ok(bytes)
    };
    Ok(Peer {
        address: address.ip(),
        certificate: certificate.context("the client has no certificate")?,
        secret: exported(SECRET_LABEL)?,
        pairing: exported(PAIRING_LABEL)?,
    })
}
