use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::config::{ClientConfig, Grants, HostName, InputKind, OwnGrants};

fn config(directory: &Path) -> Config {
    Config { state_dir: directory.join("state"), ..Config::default() }
}

fn certificate() -> String {
    let directory = tempfile::tempdir().expect("a directory");
    identity::load_or_create(directory.path(), "client").expect("an identity").certificate_pem().to_owned()
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn first_start_makes_a_private_identity_that_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let store = Store::open(&config).expect("opens");
    let (id, fingerprint) = (store.host_id().to_owned(), store.identity().certificate().fingerprint());
    for file in ["identity.pem", "lumen.db"] {
        let mode = std::fs::metadata(config.state_dir.join(file)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    drop(store);
    let store = Store::open(&config).expect("opens again");
    assert_eq!((store.host_id(), store.identity().certificate().fingerprint()), (&*id, fingerprint));
}

#[test]
fn a_pinned_client_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let pem = certificate();
    let store = Store::open(&config).expect("opens");
    let client = store.pin("Tablet", &pem, at(1000)).expect("pinned");
    drop(store);
    let store = Store::open(&config).expect("opens again");
    let found = store.client(&client.fingerprint).expect("still there");
    assert_eq!((found.name.as_str(), found.paired_at, found.origin), ("Tablet", Some(1000), Origin::Paired));
}

#[test]
fn pairing_again_updates_instead_of_doubling() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&config(directory.path())).expect("opens");
    let pem = certificate();
    let client = store.pin("Tablet", &pem, at(1000)).expect("pinned");
    store.rename(&client.fingerprint, "Sofa").expect("renamed");
    let again = store.pin("Tablet", &pem.replace('\n', "\r\n"), at(2000)).expect("pinned again");
    assert_eq!((again.name.as_str(), again.paired_at), ("Sofa", Some(2000)));
    assert_eq!(store.clients().len(), 1);
    let other = store.pin("Sofa", &certificate(), at(2000)).expect("another");
    assert_eq!(other.name, "Sofa 2");
}

#[test]
fn clients_are_listed_renamed_and_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&config(directory.path())).expect("opens");
    let a = store.pin("a", &certificate(), at(1)).expect("pinned");
    let b = store.pin("b", &certificate(), at(1)).expect("pinned");
    assert_eq!(store.clients(), [a.clone(), b]);
    assert!(matches!(store.rename(&a.fingerprint, "b"), Err(StoreError::NameTaken(_))));
    assert!(matches!(store.rename(&a.fingerprint, "\n"), Err(StoreError::BadName)));
    store.remove(&a.fingerprint).expect("removed");
    assert!(store.client(&a.fingerprint).is_none());
    assert!(matches!(store.remove(&a.fingerprint), Err(StoreError::UnknownClient(_))));
}

#[test]
fn declared_clients_cannot_be_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let pem = certificate();
    let name = HostName::try_from("TV".to_owned()).expect("a name");
    let clients = vec![ClientConfig {
        name,
        certificate: Some(pem.clone()),
        fingerprint: None,
        input: Some(vec![InputKind::Gamepad]),
        apps: None,
        clipboard: None,
        microphone: Some(true),
    }];
    let store = Store::open(&Config { clients, ..config(directory.path()) }).expect("opens");
    let client = store.clients().remove(0);
    assert_eq!((client.name.as_str(), client.origin), ("TV", Origin::Declared));
    assert!(matches!(store.remove(&client.fingerprint), Err(StoreError::Declared(_))));
    assert!(matches!(store.rename(&client.fingerprint, "x"), Err(StoreError::Declared(_))));
    assert!(matches!(store.grant(&client.fingerprint, OwnGrants::default()), Err(StoreError::Declared(_))));
    let may = store.grants(&client.fingerprint);
    assert_eq!(may, Grants { input: vec![InputKind::Gamepad], microphone: true, ..Grants::default() });
    assert_eq!(store.pin("other", &pem, at(1)).expect("no harm").name, "TV");
}

#[test]
fn grants_outlive_a_restart_and_another_pairing_and_go_with_their_client() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config { grants: Grants { input: vec![], ..Grants::default() }, ..config(directory.path()) };
    let pem = certificate();
    let store = Store::open(&config).expect("opens");
    let client = store.pin("a", &pem, at(1)).expect("pinned");
    assert_eq!(client.may, config.grants);
    assert_eq!(store.grants(&Fingerprint::new([9; 32])), Grants::nothing());
    let own = OwnGrants { input: Some(vec![InputKind::Keyboard]), clipboard: Some(true), ..OwnGrants::default() };
    let may = Grants { input: vec![InputKind::Keyboard], clipboard: true, ..Grants::default() };
    assert_eq!(store.grant(&client.fingerprint, own.clone()).expect("granted").may, may);
    store.pin("a", &pem, at(2)).expect("pinned again");
    drop(store);
    let store = Store::open(&config).expect("opens again");
    let found = store.client(&client.fingerprint).expect("there");
    assert_eq!((found.grants, found.may), (own, may));
    store.remove(&client.fingerprint).expect("removed");
    assert_eq!(store.pin("a", &pem, at(3)).expect("pinned").may, config.grants);
}

#[test]
fn grants_that_cannot_be_read_are_not_taken_for_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let store = Store::open(&config).expect("opens");
    store.pin("a", &certificate(), at(1)).expect("pinned");
    store.database().execute("UPDATE clients SET grants = '{\"input\": 7}'", []).expect("spoilt");
    drop(store);
    assert!(matches!(Store::open(&config), Err(StoreError::Database { .. })));
}

#[test]
fn visits_are_written_once_a_minute() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let store = Store::open(&config).expect("opens");
    let client = store.pin("a", &certificate(), at(1000)).expect("pinned");
    store.seen(&client.fingerprint, at(1030)).expect("too early, no error");
    assert_eq!(store.client(&client.fingerprint).and_then(|c| c.last_seen), Some(1000));
    store.seen(&client.fingerprint, at(1060)).expect("written");
    drop(store);
    let store = Store::open(&config).expect("opens again");
    assert_eq!(store.client(&client.fingerprint).and_then(|c| c.last_seen), Some(1060));
}

#[test]
fn app_numbers_stay_and_differ() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    let store = Store::open(&config).expect("opens");
    let none = HashSet::new();
    let ids = ["a", "b", "c"].map(|name| store.app_id(name, &none).expect("a number"));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    let moved = store.app_id("a", &HashSet::from([ids[0]])).expect("another number");
    assert_ne!(moved, ids[0]);
    drop(store);
    let store = Store::open(&config).expect("opens again");
    assert_eq!(store.app_id("b", &none).expect("a number"), ids[1]);
    assert_eq!(store.app_id("a", &none).expect("a number"), moved);
}

#[test]
fn a_full_disk_refuses_a_pin_and_keeps_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(&config(directory.path())).expect("opens");
    let first = store.pin("a", &certificate(), at(1)).expect("pinned");
    let pages: u32 = store.database().pragma_query_value(None, "page_count", |row| row.get(0)).expect("a count");
    let _: u32 = store
        .database()
        .pragma_update_and_check(None, "max_page_count", pages, |row| row.get(0))
        .expect("a limit stands for a full disk");
    let mut more = (0..40).map(|number| store.pin(&format!("more {number}"), &certificate(), at(2)));
    let error = more.find_map(Result::err);
    let error = error.expect("the disk is full at some time");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(store.client(&first.fingerprint).is_some());
    let _: u32 = store
        .database()
        .pragma_update_and_check(None, "max_page_count", 10_000, |row| row.get(0))
        .expect("space again");
    store.pin("later", &certificate(), at(3)).expect("works again");
}

#[test]
fn an_identity_of_two_halves_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path());
    drop(Store::open(&config).expect("opens"));
    let path = config.state_dir.join("identity.pem");
    let own = std::fs::read_to_string(&path).expect("readable");
    let key = &own[..own.find("-----BEGIN CERTIFICATE").expect("two parts")];
    std::fs::write(&path, format!("{key}{}", certificate())).expect("written");
    let message = Store::open(&config).expect_err("refused").to_string();
    assert!(message.contains("does not belong to the certificate"), "{message}");
    std::fs::write(&path, "").expect("written");
    let message = Store::open(&config).expect_err("refused").to_string();
    assert!(message.contains("holds no certificate"), "{message}");
}
