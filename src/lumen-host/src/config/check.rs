//! What is wrong with a configuration that can be read: values of the wrong kind, and what types alone cannot say. Each
//! message ends with what mends it.

use std::collections::HashSet;

use figment::error::{Actual, Kind};
use lumen_core::gamestream::http::Ports;

use super::rules::Rules;
use super::{AppConfig, Config, DisplayKind, Instance, OnExit};

/// Key and sentence.
type Wrong = (String, String);

/// figment's error at `key` without the place, which is named elsewhere, and with what to write instead.
pub(super) fn sentence(kind: &Kind, key: &str) -> String {
    let rules = Rules::of_config();
    let found = match kind {
        Kind::MissingField(name) => {
            let what = rules.description(key, name).unwrap_or("it is needed").trim_end_matches('.');
            return format!("`{name}` is missing; add it ({what})");
        }
        Kind::InvalidType(actual, _) | Kind::InvalidValue(actual, _) => format!("{} does not fit", shown(actual)),
        Kind::UnknownVariant(name, _) => format!("\"{name}\" does not fit"),
        other => other.to_string(),
    };
    rules.remedy(key).map_or(found.clone(), |remedy| format!("{found}; {remedy}"))
}

fn shown(actual: &Actual) -> String {
    match actual {
        Actual::Bool(value) => value.to_string(),
        Actual::Unsigned(value) => value.to_string(),
        Actual::Signed(value) => value.to_string(),
        Actual::Float(value) => value.to_string(),
        Actual::Str(value) => format!("\"{value}\""),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// What types alone cannot say.
pub(super) fn contradictions(config: &Config) -> Vec<Wrong> {
    let rules = Rules::of_config();
    let range = rules.out_of_range(config).into_iter().map(|(key, number)| {
        let remedy = rules.remedy(&key).unwrap_or_default();
        (key, format!("{number} is out of range; {remedy}"))
    });
    let mut wrong: Vec<Wrong> = range.collect();
    let mut refuse = |key: &str, message: String| wrong.push((key.to_owned(), message));

    addresses(config, &mut refuse);
    if config.stream.max_bitrate_kbps < config.stream.min_bitrate_kbps {
        let least = config.stream.min_bitrate_kbps;
        refuse("stream.max_bitrate_kbps", format!("is below min_bitrate_kbps; write {least} or more, or lower that"));
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.filter) {
        refuse("log.filter", format!("not a filter ({error}); write a level, such as \"info\""));
    }
    if config.quic && !cfg!(feature = "quic") {
        refuse("quic", "this lumen was built without QUIC; write false".to_owned());
    }
    if config.state_dir == config.runtime_dir {
        refuse("runtime_dir", "is the same as state_dir; give each a directory of its own".to_owned());
    }

    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    for (index, app) in config.apps.iter().enumerate() {
        if !names.insert(app.name.as_str()) {
            refuse(&format!("apps.{index}.name"), format!("\"{}\" is there twice; rename one", app.name));
        }
        if let Some(id) = app.id.filter(|id| !ids.insert(*id)) {
            let message = format!("{id} is there twice; give another, or none and the host chooses one");
            refuse(&format!("apps.{index}.id"), message);
        }
        application(app, &mut |key, message| refuse(&format!("apps.{index}.{key}"), message));
    }

    let mut fingerprints = HashSet::new();
    for (index, client) in config.clients.iter().enumerate() {
        let key = format!("clients.{index}");
        match client.identity() {
            Err(message) => refuse(&key, message),
            Ok(identity) if !fingerprints.insert(identity.fingerprint()) => {
                refuse(&key, format!("\"{}\" has the certificate of another client; remove one", client.name));
            }
            Ok(_) => {}
        }
    }
    wrong
}

fn addresses(config: &Config, refuse: &mut impl FnMut(&str, String)) {
    if config.bind.is_empty() {
        refuse("bind", "at least one address is needed; write [\"::\"] for all".to_owned());
    }
    let mut seen = HashSet::new();
    if let Some(address) = config.bind.iter().find(|address| !seen.insert(**address)) {
        refuse("bind", format!("{address} is there twice; remove one"));
    }
    match config.admin.listen {
        Some(listen) if !listen.ip().is_loopback() => {
            let message =
                "must be a loopback address, such as \"127.0.0.1:47980\"; reach it from elsewhere through SSH";
            refuse("admin.listen", message.to_owned());
        }
        None if config.admin.token_file.is_some() => unread("admin", refuse),
        _ => {}
    }
    if config.web.listen.is_none() {
        if config.web.token_file.is_some() {
            unread("web", refuse);
        }
        if !config.web.names.is_empty() {
            let message = "nobody can ask by them without `web.listen`; set that, or leave this out".to_owned();
            refuse("web.names", message);
        }
    }
    if let Some(name) = config.web.names.iter().find(|name| !is_host(name)) {
        let message = format!("\"{name}\" is not the name of a host; write it without scheme, port and path");
        refuse("web.names", message);
    }
    match config.metrics.listen {
        Some(listen) if !listen.ip().is_loopback() && config.metrics.token_file.is_none() => {
            let message = "is not a loopback address, so that anybody could read it; set `metrics.token_file`, or write \
                           \"127.0.0.1:9464\"";
            refuse("metrics.listen", message.to_owned());
        }
        None if config.metrics.token_file.is_some() => unread("metrics", refuse),
        _ => {}
    }
    let taken = Ports::from_base(config.port.get()).ok().map(|ports| [ports.http, ports.https, ports.rtsp]);
    let listeners = [
        ("admin.listen", config.admin.listen),
        ("web.listen", config.web.listen),
        ("metrics.listen", config.metrics.listen),
    ];
    let mut own: Vec<(&str, u16)> = Vec::new();
    for (key, listen) in listeners {
        let Some(port) = listen.map(|listen| listen.port()) else { continue };
        if taken.is_some_and(|ports| ports.contains(&port)) {
            refuse(key, format!("port {port} is one that clients connect to; take another"));
        }
        // 0 is for any that is free.
        if let Some((other, _)) = own.iter().find(|(_, other)| *other == port && port != 0) {
            refuse(key, format!("port {port} is that of `{other}`; take another"));
        }
        own.push((key, port));
    }
}

/// A token is named and nobody asks for it.
fn unread(table: &str, refuse: &mut impl FnMut(&str, String)) {
    let message = format!("nothing reads it without `{table}.listen`; set that, or leave this out");
    refuse(&format!("{table}.token_file"), message);
}

fn is_host(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn application(app: &AppConfig, refuse: &mut impl FnMut(&str, String)) {
    let card = matches!(app.display, DisplayKind::Testcard | DisplayKind::TestcardMotion);
    let display = app.display.as_str();
    if card && !app.command.is_empty() {
        refuse("command", format!("{display} shows no programs; leave this out, or write display = \"auto\""));
    }
    if app.instance == Instance::Running && (card || app.display == DisplayKind::Gamescope) {
        let message = format!("{display} has none that runs already; write \"own\", or another display");
        refuse("instance", message);
    }
    if app.on_exit == OnExit::Stay && app.command.is_empty() {
        refuse("on_exit", "there is no program that could end; leave this out, or set `command`".to_owned());
    }
    let steps = |name: &'static str, steps: &[Vec<String>]| {
        let bad = steps.iter().position(|step| !names_program(step));
        bad.map(|at| (format!("{name}.{at}"), "names no program; write [\"PROGRAM\", \"ARGUMENT\", …]".to_owned()))
    };
    for (key, message) in steps("before", &app.before).into_iter().chain(steps("after", &app.after)) {
        refuse(&key, message);
    }
    if !app.command.is_empty() && !names_program(&app.command) {
        refuse("command", "names no program; write [\"PROGRAM\", \"ARGUMENT\", …]".to_owned());
    }
    for name in app.environment.keys() {
        if name.is_empty() || name.contains(['=', '\0']) {
            refuse("environment", format!("\"{name}\" cannot be a variable; write NAME = \"VALUE\""));
        } else if name.starts_with("LUMEN_") {
            refuse("environment", format!("{name} is set by the host itself; take a name without LUMEN_"));
        }
    }
    if let Some(directory) = app.directory.as_ref().filter(|path| path.is_relative()) {
        let message = format!("\"{}\" depends on where the host starts; write a path from / on", directory.display());
        refuse("directory", message);
    }
}

fn names_program(command: &[String]) -> bool {
    command.first().is_some_and(|program| !program.trim().is_empty())
}
