//! Who may stream, and when: declared clients, one session for each client, and no more than the host may have.

use std::fs;

use lumen_client::identity::PinnedHost;
use lumen_client::options::Entry;
use lumen_client::report::Ending;
use lumen_client::{Client, ClientError, Session, StreamOptions};

use crate::harness::{Host, assert_whole, begin, ending, eventually, small, turn, watch};

fn refusal(result: Result<Session, ClientError>) -> String {
    match result.map(drop) {
        Err(ClientError::Refused { reason, .. }) => reason,
        other => panic!("the host should have refused: {other:?}"),
    }
}

#[test]
fn a_declared_client_streams_on_a_fresh_disk() {
    let _turn = turn();
    let mut host = Host::prepared("[[clients]]\nname = \"declared\"\ncertificate = \"client.pem\"");
    let client: Client = host.stranger("declared");
    fs::write(host.path("client.pem"), client.store().identity().certificate_pem()).expect("written");
    host.serve();
    // The other half of the trust is the operator's to copy as well: nothing was exchanged by PIN.
    let unique_id = client.info(&host.address()).expect("it answers").info.unique_id;
    client
        .store()
        .pin(PinnedHost {
            unique_id,
            name: "under test".to_owned(),
            address: host.address().to_string(),
            certificate: host.certificate().to_pem().expect("PEM"),
        })
        .expect("written");
    let session = begin(&client, &host.address(), &small());
    watch(&session, 10);
    assert_eq!(host.session_of("declared").map(|session| session.client).as_deref(), Some("declared"));
    assert_whole(&session.stop().expect("a report"));
}

#[test]
fn a_client_has_one_session_and_may_end_it() {
    let _turn = turn();
    let host = Host::with("stream.max_sessions = 1");
    let (sofa, desk) = (host.client("sofa"), host.client("desk"));
    let address = host.address();
    let launch = StreamOptions { entry: Entry::Launch, ..small() };
    let resume = StreamOptions { entry: Entry::Resume, ..small() };

    assert!(refusal(sofa.connect(&address, &resume)).contains("No application is running"));
    let session = begin(&sofa, &address, &launch);
    assert!(refusal(sofa.connect(&address, &launch)).contains("running already"));
    let why = refusal(desk.connect(&address, &launch));
    assert!(why.contains("1 clients") || why.contains("1 client"), "{why}");
    // What is refused to others, and others' quitting, disturbs nobody.
    desk.quit(&address).expect("nothing to end is no error");
    watch(&session, 10);
    assert_eq!(session.ending(), Ending::Running);

    sofa.quit(&address).expect("it ends");
    assert_eq!(ending(&session), Ending::ClosedByHost);
    assert_whole(&session.report());
    drop(session);
    assert!(host.sessions().is_empty());
    host.is_deserted();
    let session = begin(&desk, &address, &launch);
    session.stop().expect("a report");
    // Suspended, it still has the place; quitting gives it back.
    assert!(refusal(sofa.connect(&address, &launch)).contains("as many as it may"));
    desk.quit(&address).expect("it ends");
    begin(&sofa, &address, &launch).stop().expect("a report");
}

#[test]
fn the_operator_ends_sessions_and_removes_clients() {
    let _turn = turn();
    let host = Host::start();
    let (sofa, desk) = (host.client("sofa"), host.client("desk"));
    let streams = [begin(&sofa, &host.address(), &small()), begin(&desk, &host.address(), &small())];
    let id = host.session_of("sofa").expect("it streams").id;
    host.admin().post_empty(&format!("/v1/sessions/{id}/stop")).expect("it ends");
    assert_eq!(ending(&streams[0]), Ending::ClosedByHost);
    assert!(host.command().args(["clients", "remove", "desk"]).status().expect("it runs").success());
    assert_eq!(ending(&streams[1]), Ending::ClosedByHost);
    eventually("no session is left", || host.sessions().is_empty().then_some(()));
    host.is_deserted();
    let removed = desk.connect(&host.address(), &small());
    assert!(matches!(removed, Err(ClientError::NotPaired { .. })), "{:?}", removed.map(drop));
    assert!(sofa.info(&host.address()).expect("it answers").info.paired);
}
