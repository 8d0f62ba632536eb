//! Pairing over real sockets, in all the ways it can go.

mod frontdoor;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use frontdoor::client::{PairFailure, TestClient, connect, exchange};
use frontdoor::{TestHost, eventually};
use lumen_core::gamestream::pairing::{ClientPairingError, PairingError};
use lumen_host::admin::{AdminClientError, EnterPin, PairingResult};
use lumen_host::gamestream::pairing_server::PendingAttempt;

fn pending(host: &TestHost) -> Vec<PendingAttempt> {
    host.admin().get("/v1/pairing").expect("a list")
}

fn wait_for(host: &TestHost, count: usize) -> Vec<PendingAttempt> {
    eventually("waiting clients", || pending(host).len() == count);
    pending(host)
}

fn pin(pin: &str) -> EnterPin {
    EnterPin { pin: pin.to_owned(), ..EnterPin::default() }
}

fn enter(host: &TestHost, entry: &EnterPin) -> Result<PairingResult, AdminClientError> {
    host.admin().post("/v1/pairing", entry)
}

/// Phase 1 with raw parameters, without waiting for the answer.
fn begin(host: &TestHost, client: &TestClient) -> std::net::TcpStream {
    use std::io::Write;
    let mut stream = connect(host.http(), client.source).expect("connects");
    let hex: String = client.identity.certificate_pem().bytes().map(|byte| format!("{byte:02x}")).collect();
    let target = format!(
        "/pair?uniqueid={}&uuid=0&devicename=roth&updateState=1&phrase=getservercert&salt={}&clientcert={hex}",
        client.unique_id,
        "00".repeat(16)
    );
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).expect("sent");
    stream
}

fn answer_of(stream: std::net::TcpStream) -> String {
    use std::io::Read;
    let mut text = String::new();
    (&stream).read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn the_right_pin_pins_the_certificate_for_good() {
    let host = TestHost::start();
    let client = TestClient::new("0123456789ABCDEF");
    let pairing = client.pair(&host, "4217");
    let waiting = wait_for(&host, 1);
    assert_eq!(waiting[0].address, IpAddr::from([127, 0, 0, 1]));
    assert_eq!(waiting[0].fingerprint, client.certificate().fingerprint());
    let entry = EnterPin { name: Some("Sofa".to_owned()), ..pin("4217") };
    let result = enter(&host, &entry).expect("taken");
    assert!(matches!(&result, PairingResult::Paired { client } if client.name == "Sofa"), "{result:?}");
    let certificate = pairing.join().expect("no panic").expect("paired");
    assert_eq!(&certificate, host.store.identity().certificate());
    assert_eq!(client.https(&host, "/serverinfo", "").element("PairStatus").as_deref(), Some("1"));

    // Anybody can ask to unpair; nothing comes of it.
    assert_eq!(client.http(&host, "/unpair", "").code(), 200);
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 200);
}

#[test]
fn a_wrong_pin_pins_nothing_and_whoever_typed_it_is_told() {
    let host = TestHost::start();
    let client = TestClient::new("a");
    let pairing = client.pair(&host, "1111");
    wait_for(&host, 1);
    let result = enter(&host, &pin("2222")).expect("taken");
    assert!(matches!(&result, PairingResult::Failed { reason } if reason.contains("PIN")), "{result:?}");
    match pairing.join().expect("no panic") {
        Err(PairFailure::Pairing(ClientPairingError::Check(PairingError::WrongPin), _)) => {}
        other => panic!("the client should have seen the wrong PIN: {other:?}"),
    }
    assert_eq!(client.https(&host, "/serverinfo", "").code(), 401);
    assert!(host.store.clients().is_empty());
    let nobody = enter(&host, &pin("1111")).expect_err("one PIN is one try");
    assert!(matches!(nobody, AdminClientError::Refused { status: 404, .. }), "{nobody}");
}

#[test]
fn clients_that_pair_at_the_same_time_do_not_disturb_each_other() {
    let host = TestHost::start();
    // All of them say the same uniqueid, as real ones do; two share an address.
    let a = TestClient::new("0123456789ABCDEF");
    let b = TestClient::new("0123456789ABCDEF").from([127, 0, 0, 2]);
    let c = TestClient::new("c").from([127, 0, 0, 2]);
    let pairings = [a.pair(&host, "1111"), b.pair(&host, "2222"), c.pair(&host, "3333")];
    let waiting = wait_for(&host, 3);

    let unclear = enter(&host, &pin("1111")).expect_err("whose PIN?");
    match &unclear {
        AdminClientError::Refused { status: 409, body } => assert_eq!(body.pending.len(), 3),
        other => panic!("{other}"),
    }
    let address = EnterPin { address: Some(IpAddr::from([127, 0, 0, 1])), ..pin("1111") };
    assert!(matches!(enter(&host, &address), Ok(PairingResult::Paired { .. })));
    let shared = EnterPin { address: Some(IpAddr::from([127, 0, 0, 2])), ..pin("2222") };
    assert!(matches!(enter(&host, &shared), Err(AdminClientError::Refused { status: 409, .. })));
    for (client, digits) in [(&c, "3333"), (&b, "2222")] {
        let attempt = waiting.iter().find(|attempt| attempt.fingerprint == client.certificate().fingerprint());
        let entry = EnterPin { id: Some(attempt.expect("it waits").id), ..pin(digits) };
        assert!(matches!(enter(&host, &entry), Ok(PairingResult::Paired { .. })));
    }
    for pairing in pairings {
        pairing.join().expect("no panic").expect("paired");
    }
    assert_eq!(host.store.clients().len(), 3);
    for client in [&a, &b, &c] {
        assert_eq!(client.https(&host, "/serverinfo", "").code(), 200);
    }
}

#[test]
fn a_new_attempt_releases_the_old_one_of_the_same_client() {
    let host = TestHost::start();
    let client = TestClient::new("a");
    let other = TestClient::new("b");
    let first = begin(&host, &client);
    let undisturbed = begin(&host, &other);
    let before = wait_for(&host, 2);
    let pairing = client.pair(&host, "1234");
    let released = answer_of(first);
    assert!(released.contains("status_code=\"400\"") && released.contains("<paired>0</paired>"), "{released}");
    let attempts = wait_for(&host, 2);
    let own = attempts.iter().find(|attempt| attempt.fingerprint == client.certificate().fingerprint());
    let own = own.expect("it waits");
    assert!(before.iter().all(|attempt| attempt.id != own.id));
    assert!(matches!(enter(&host, &EnterPin { id: Some(own.id), ..pin("1234") }), Ok(PairingResult::Paired { .. })));
    pairing.join().expect("no panic").expect("paired");
    drop(undisturbed);
}

#[test]
fn a_client_that_hangs_up_waits_no_longer() {
    let host = TestHost::start();
    let stream = begin(&host, &TestClient::new("a"));
    wait_for(&host, 1);
    drop(stream);
    wait_for(&host, 0);
}

#[test]
fn phases_out_of_order_end_the_attempt() {
    let host = TestHost::start();
    let client = TestClient::new("a");
    let pair = |query: &str| client.http(&host, "/pair", &format!("devicename=roth&updateState=1&{query}"));
    let refused = |query: &str| {
        let answer = pair(query);
        assert_eq!(answer.status, 200, "{query}");
        assert!(answer.code() != 200 || answer.element("paired").as_deref() == Some("0"), "{query}");
    };
    let (two, three) =
        (format!("clientchallenge={}", "00".repeat(16)), format!("serverchallengeresp={}", "00".repeat(32)));
    refused(&two);
    refused(&three);
    refused("phrase=nonsense");
    refused("phrase=getservercert");
    refused("phrase=getservercert&salt=zz&clientcert=00");
    refused("clientchallenge=");
    refused("clientpairingsecret=00");
    refused("phrase=pairchallenge");

    // A phase before its PIN releases the held connection.
    let held = begin(&host, &client);
    wait_for(&host, 1);
    refused(&two);
    assert!(answer_of(held).contains("<paired>0</paired>"));

    // Repeating phase 3 would let a client find the PIN; it destroys the attempt.
    let held = begin(&host, &client);
    let id = wait_for(&host, 1)[0].id;
    let entry = EnterPin { id: Some(id), ..pin("0000") };
    let admin = host.admin();
    let entering = std::thread::spawn(move || admin.post::<PairingResult>("/v1/pairing", &entry));
    assert!(answer_of(held).contains("<plaincert>"));
    assert_eq!(pair(&two).code(), 200);
    assert_eq!(pair(&three).code(), 200);
    refused(&three);
    refused(&format!("clientpairingsecret={}", "00".repeat(272)));
    let result = entering.join().expect("no panic").expect("an answer");
    assert!(matches!(result, PairingResult::Failed { .. }));
}

#[test]
fn pairing_again_keeps_one_entry() {
    let host = TestHost::start();
    let client = TestClient::new("a");
    for round in ["1111", "2222"] {
        let pairing = client.pair(&host, round);
        wait_for(&host, 1);
        assert!(matches!(enter(&host, &pin(round)), Ok(PairingResult::Paired { .. })));
        pairing.join().expect("no panic").expect("paired");
    }
    assert_eq!(host.store.clients().len(), 1);
}

#[test]
fn one_address_cannot_keep_others_from_pairing() {
    let host = TestHost::start();
    let certificate = TestClient::new("x").from([127, 0, 0, 9]);
    let greedy = |number: usize| TestClient { unique_id: format!("x{number}"), ..certificate.clone() };
    let held: Vec<_> = (0..12).map(|number| begin(&host, &greedy(number))).collect();
    eventually("a few of them wait", || pending(&host).len() >= 4);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(pending(&host).len(), 4);
    let client = TestClient::new("a");
    let pairing = client.pair(&host, "4321");
    wait_for(&host, 5);
    let entry = EnterPin { address: Some(IpAddr::from([127, 0, 0, 1])), ..pin("4321") };
    assert!(matches!(enter(&host, &entry), Ok(PairingResult::Paired { .. })));
    pairing.join().expect("no panic").expect("paired");
    drop(held);
}

#[test]
fn too_many_beginnings_are_told_to_come_later() {
    let host = TestHost::start();
    let client = TestClient::new("a").from([127, 0, 0, 9]);
    let busy = (0..60).find_map(|_| {
        let stream = begin(&host, &client);
        stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a limit");
        let mut text = String::new();
        let _ = std::io::Read::read_to_string(&mut &stream, &mut text);
        (!text.is_empty()).then_some(text)
    });
    let busy = busy.expect("a refusal");
    assert!(busy.contains("<paired>1</paired>") && !busy.contains("plaincert"), "{busy}");
}

#[test]
fn a_pin_that_is_none_is_refused_without_touching_the_attempt() {
    let host = TestHost::start();
    let held = begin(&host, &TestClient::new("a"));
    wait_for(&host, 1);
    for wrong in ["", "123", "12345", "12a4", "１２３４"] {
        let error = enter(&host, &pin(wrong)).expect_err("not a PIN");
        assert!(matches!(error, AdminClientError::Refused { status: 400, .. }), "{wrong}: {error}");
    }
    assert_eq!(pending(&host).len(), 1);
    drop(held);
}

#[test]
fn pairing_works_over_ipv6() {
    let host = TestHost::start();
    let v6 = SocketAddr::new("::1".parse().expect("an address"), host.ports.http);
    let target = "/pair?uniqueid=a&phrase=pairchallenge";
    let answer = exchange(connect(v6, None).expect("connects"), target).expect("an answer");
    assert_eq!(answer.element("paired").as_deref(), Some("0"), "the last phase is for HTTPS");
}
