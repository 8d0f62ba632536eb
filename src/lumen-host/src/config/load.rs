//! From layers to one [`Config`]: defaults < file < environment < command line.
//!
//! Keys are checked against [`Keys`] layer by layer before the layers are merged, because only then can an error
//! say where the key stands. Values are checked after merging; the place is found again by figment's metadata.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};
use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::keys::Keys;
use super::{Config, ConfigError, Place, check};

/// The file that is read when it exists and no other is named.
pub const DEFAULT_FILE: &str = "/etc/lumen/lumen.toml";

/// Environment variables with this prefix set keys: `LUMEN_STREAM__KEEP_ALIVE=60` is `stream.keep_alive`.
pub const ENV_PREFIX: &str = "LUMEN_";

/// Variables with the prefix that are not keys: the file itself, where FFmpeg and NVIDIA's driver lie, what tests are told, and what
/// applications are told about their session, which a `lumen` in such a session sees as well.
const ENV_RESERVED: [&str; 12] = [
    "LUMEN_CONFIG",
    "LUMEN_FFMPEG_DIR",
    "LUMEN_NVIDIA_DIR",
    "LUMEN_BLESS",
    "LUMEN_TEST_FULL",
    "LUMEN_SESSION",
    "LUMEN_ROLE",
    "LUMEN_CLIENT_NAME",
    "LUMEN_APP",
    "LUMEN_WIDTH",
    "LUMEN_HEIGHT",
    "LUMEN_FPS",
];

/// Keys that the command line can set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, clap::Args)]
pub struct Overrides {
    /// Name that clients show for this host
    #[arg(long, value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Address to listen on; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bind: Vec<IpAddr>,
    /// Base port, from which all other ports derive
    #[arg(long, value_name = "PORT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Directory of what must outlive a restart
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Directory of the admin socket
    #[arg(long, value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_dir: Option<PathBuf>,
    /// Announce this host by mDNS, or not
    #[arg(long, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mdns: Option<bool>,
}

/// Where layers come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file named by the operator; it must exist.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// The command line.
    pub flags: Overrides,
}

impl Sources {
    /// The layers of this process: `file` (or `$LUMEN_CONFIG`), its environment, and `flags`.
    pub fn of_process(file: Option<PathBuf>, flags: Overrides) -> Self {
        let file = file.or_else(|| std::env::var_os("LUMEN_CONFIG").map(PathBuf::from));
        let text = |os: OsString| os.into_string().ok();
        let environment = std::env::vars_os().filter_map(|(key, value)| Some((text(key)?, text(value)?))).collect();
        Self { file, environment, flags }
    }
}

/// A configuration and the file it was read from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file, if one was read.
    pub file: Option<PathBuf>,
    /// Environment variables that had a say.
    pub variables: Vec<String>,
}

impl Loaded {
    /// Where the configuration came from, for people.
    pub fn origin(&self) -> String {
        let file = self.file.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string());
        match self.variables.as_slice() {
            [] => file,
            some => format!("{file}, changed by {}", some.join(", ")),
        }
    }
}

/// Merges the layers.
///
/// # Errors
/// [`ConfigError`] for what is wrong; several things of one kind are named together.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let file = read_file(sources.file.as_deref())?;
    let keys = Keys::of_config();
    let mut figment = Figment::from(Serialized::defaults(Config::default()));

    if let Some(file) = &file {
        let document = file.parse()?;
        check_file(file, &document, &keys)?;
        figment = figment.merge(Toml::file_exact(&file.path));
    }

    let environment = Environment::new(&sources.environment);
    environment.check(&keys)?;
    let variables = environment.entries.iter().map(|(_, variable, _)| variable.clone()).collect();
    let figment = figment.merge(environment).merge(Flags(&sources.flags));

    let invalid = |key: String, message: String| {
        let place = place_of(&figment, file.as_ref(), &key);
        ConfigError::Invalid { place, key, message }
    };
    let mut config: Config = figment.extract().map_err(|error| {
        let key = error.path.join(".");
        let message = check::sentence(&error.kind, &key);
        invalid(key, message)
    })?;
    if let Some(base) = file.as_ref().and_then(|file| file.path.parent()) {
        anchor(&mut config, base);
    }
    let wrong = check::contradictions(&config).into_iter().map(|(key, message)| invalid(key, message));
    ConfigError::all(wrong)?;
    Ok(Loaded { config, file: file.map(|file| file.path), variables })
}

/// A configuration file in memory.
struct FileText {
    path: PathBuf,
    text: String,
}

impl FileText {
    fn parse(&self) -> Result<DeTable<'_>, ConfigError> {
        DeTable::parse(&self.text).map(toml::Spanned::into_inner).map_err(|error| ConfigError::Syntax {
            place: self.place(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        })
    }

    fn place(&self, offset: usize) -> Place {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Place::File { path: self.path.clone(), line }
    }
}

/// The named file, or the default one if it is there.
fn read_file(named: Option<&Path>) -> Result<Option<FileText>, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE)).to_owned();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(FileText { path, text })),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

/// Every key of the file that nothing has.
fn check_file(file: &FileText, document: &DeTable<'_>, keys: &Keys) -> Result<(), ConfigError> {
    struct Walk<'a> {
        file: &'a FileText,
        root: &'a Keys,
        path: Vec<String>,
        unknown: Vec<(usize, ConfigError)>,
    }
    impl Walk<'_> {
        fn table(&mut self, table: &DeTable<'_>, keys: &Keys) {
            for (key, value) in table {
                let name = key.get_ref();
                let known = keys.child(name);
                let nearest = known.is_none().then(|| self.root.nearest(&self.path, name));
                self.path.push(name.to_string());
                if let Some(nearest) = nearest {
                    let at = key.span().start;
                    let (place, key) = (self.file.place(at), self.path.join("."));
                    self.unknown.push((at, ConfigError::UnknownKey { place, key, nearest }));
                } else if let Some(known) = known {
                    self.value(value.get_ref(), known);
                }
                self.path.pop();
            }
        }

        fn value(&mut self, value: &DeValue<'_>, keys: &Keys) {
            match (value, keys) {
                (DeValue::Table(inner), Keys::Table(_)) => self.table(inner, keys),
                (DeValue::Array(elements), Keys::List(element)) => {
                    elements.iter().for_each(|value| self.value(value.get_ref(), element));
                }
                _ => {}
            }
        }
    }
    let mut walk = Walk { file, root: keys, path: Vec::new(), unknown: Vec::new() };
    walk.table(document, keys);
    walk.unknown.sort_by_key(|(at, _)| *at);
    ConfigError::all(walk.unknown.into_iter().map(|(_, error)| error))
}

/// The environment as a layer.
struct Environment {
    /// Dotted key, variable, value.
    entries: Vec<(String, String, String)>,
}

impl Environment {
    fn new(variables: &[(String, String)]) -> Self {
        let entries = variables
            .iter()
            .filter(|(variable, _)| !ENV_RESERVED.contains(&variable.as_str()))
            .filter_map(|(variable, value)| {
                let key = variable.strip_prefix(ENV_PREFIX)?.to_lowercase().replace("__", ".");
                Some((key, variable.clone(), value.clone()))
            })
            .collect();
        Self { entries }
    }

    fn check(&self, keys: &Keys) -> Result<(), ConfigError> {
        for (key, variable, _) in &self.entries {
            let mut path: Vec<String> = Vec::new();
            let mut at = keys;
            for part in key.split('.') {
                let Some(child) = at.child(part) else {
                    return Err(ConfigError::UnknownKey {
                        place: Place::Environment(variable.clone()),
                        key: key.clone(),
                        nearest: keys.nearest(&path, part),
                    });
                };
                at = child;
                path.push(part.to_owned());
            }
        }
        Ok(())
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        // Values without a tag of their own are tagged with this provider, which is how errors find it again.
        let mut root = Dict::new();
        for (key, _, value) in &self.entries {
            let value: Value = value.parse().unwrap_or_else(|_| Value::from(value.clone()));
            insert(&mut root, key, value);
        }
        Ok(Map::from([(Profile::Default, root)]))
    }
}

/// Puts `value` at the dotted `key`.
fn insert(dict: &mut Dict, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            dict.insert(key.to_owned(), value);
        }
        Some((table, rest)) => {
            let inner = dict.entry(table.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if let Value::Dict(_, inner) = inner {
                insert(inner, rest, value);
            }
        }
    }
}

/// The command line as a layer.
struct Flags<'a>(&'a Overrides);

impl Provider for Flags<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::named("command line")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Serialized::defaults(self.0).data()
    }
}

/// Who set `key`.
fn place_of(figment: &Figment, file: Option<&FileText>, key: &str) -> Place {
    // What is in a list has no source of its own.
    let list = key.split('.').take_while(|part| part.parse::<usize>().is_err()).collect::<Vec<_>>().join(".");
    let metadata = figment.find_metadata(&list);
    let source = metadata.and_then(|metadata| metadata.source.as_ref());
    if let (Some(Source::File(_)), Some(file)) = (source, file) {
        return file
            .parse()
            .ok()
            .and_then(|table| offset_of(&table, key))
            .map_or(Place::File { path: file.path.clone(), line: 0 }, |offset| file.place(offset));
    }
    match metadata.map(|metadata| metadata.name.as_ref()) {
        Some("environment") => Place::Environment(format!("{ENV_PREFIX}{}", key.to_uppercase().replace('.', "__"))),
        Some("command line") => Place::Flag,
        _ => Place::Default,
    }
}

/// Byte offset of the deepest part of `key` that the document has.
fn offset_of(document: &DeTable<'_>, key: &str) -> Option<usize> {
    let mut parts = key.split('.');
    let (name, value) = document.get_key_value(parts.next()?)?;
    let mut offset = name.span().start;
    let mut at = value.get_ref();
    for part in parts {
        match at {
            DeValue::Table(table) => {
                let Some((name, value)) = table.get_key_value(part) else { break };
                offset = name.span().start;
                at = value.get_ref();
            }
            DeValue::Array(elements) => {
                let Some(value) = part.parse::<usize>().ok().and_then(|index| elements.get(index)) else { break };
                offset = value.span().start;
                at = value.get_ref();
            }
            _ => break,
        }
    }
    Some(offset)
}

fn anchor(config: &mut Config, base: &Path) {
    config.clients.iter_mut().for_each(|client| client.anchor(base));
    for image in config.apps.iter_mut().filter_map(|app| app.image.as_mut()) {
        if image.is_relative() {
            *image = base.join(&*image);
        }
    }
}

#[cfg(test)]
mod tests;
