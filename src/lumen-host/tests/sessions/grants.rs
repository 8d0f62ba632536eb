//! What a client may do, over whole sessions: input that is not granted reaches no display, and an application that is not
//! granted is neither listed nor streamed.

use lumen_client::options::{AppChoice, Entry};
use lumen_client::report::StreamReport;
use lumen_client::script::Script;
use lumen_client::{Client, StreamOptions};

use crate::harness::{Host, assert_whole, script, small, turn};

/// What the test card got of a script.
fn sent(host: &Host, client: &Client, script: Script) -> StreamReport {
    let options = StreamOptions { script: Some(script), ..small() };
    let report = client.stream(&host.address(), &options).unwrap_or_else(|error| panic!("no stream: {error}"));
    assert_whole(&report);
    client.quit(&host.address()).expect("it ends");
    host.is_deserted();
    report
}

fn grant(host: &Host, arguments: &[&str]) -> Result<String, String> {
    let output = host.command().args(["clients", "grant"]).args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn input_that_is_not_granted_goes_nowhere() {
    let _turn = turn();
    let host = Host::with("grants.input = []");
    let client = host.client("sofa");
    let everything = || script(640, 360);
    let watching = sent(&host, &client, everything());
    assert!(watching.input.sent > 20, "{watching}");
    assert_eq!(watching.input.arrived.unwrap_or(0), 0, "{watching}");
    // One kind of device, and nothing of the others.
    assert_eq!(grant(&host, &["sofa", "--input", "keyboard"]).as_deref(), Ok("sofa may: keyboard.\n"));
    let typing = sent(&host, &client, everything());
    let arrived = u64::from(typing.input.arrived.unwrap_or(0));
    assert!(arrived > 3 && arrived < typing.input.sent / 2, "{typing}");
    assert_eq!(typing.input.pointer, watching.input.pointer, "{typing}");
    grant(&host, &["sofa", "--input", "all"]).expect("granted");
    assert_eq!(sent(&host, &client, everything()).input.complete, Some(true));
}

#[test]
fn an_application_that_is_not_granted_is_not_listed_started_or_resumed() {
    let _turn = turn();
    let host = Host::start();
    let client = host.client("sofa");
    let titles =
        || -> Vec<String> { client.apps(&host.address()).expect("a list").into_iter().map(|app| app.title).collect() };
    assert_eq!(titles(), ["Test card", "Test card, full motion"]);
    let options = StreamOptions { app: AppChoice::Named("Test card".to_owned()), ..small() };
    assert_whole(&client.stream(&host.address(), &options).expect("a stream"));
    grant(&host, &["sofa", "--app", "Test card, full motion"]).expect("granted");
    assert_eq!(titles(), ["Test card, full motion"]);
    let resume = StreamOptions { entry: Entry::Resume, app: AppChoice::Any, ..options.clone() };
    let refused = client.stream(&host.address(), &resume).map(drop).expect_err("it is not granted").to_string();
    assert!(refused.contains("Test card"), "{refused}");
    client.quit(&host.address()).expect("it may end what it has");
    let launch = StreamOptions { entry: Entry::Launch, ..options };
    assert!(client.stream(&host.address(), &launch).is_err());
    host.is_deserted();
}
