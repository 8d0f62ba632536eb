//! The page of all configuration keys, from the JSON Schema of [`Config`], in the order of the types.

use std::fmt::Write as _;

use lumen_host::config::{
    AdminConfig, AppConfig, AudioSettings, ClientConfig, Config, DiscoveryConfig, ENV_PREFIX, EncoderSettings, Grants,
    LogConfig, MetricsConfig, StreamConfig, WebConfig,
};
use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde_json::Value;

const INTRODUCTION: &str = "\
# Configuration

Printed from the JSON Schema of the configuration (`lumen config schema`); do not edit.

Settings come in layers, later ones first: defaults, `/etc/lumen/lumen.toml` (or the file that `--config` or
`LUMEN_CONFIG` names), environment variables, flags. There need not be a file. A key that does not exist is an error that
names the nearest one that does. `lumen config check` says whether all is right, `lumen config show` prints what is in
force. Changes need a restart of the host.

In a variable, two underscores stand for the dot: `LUMEN_STREAM__KEEP_ALIVE=60`. Lists are written as in TOML:
`LUMEN_BIND='[\"192.168.1.20\"]'`.
";

/// Defaults that depend on the machine.
const DEPENDS: &[(&str, &str)] = &[
    ("name", "the machine's host name up to the first dot"),
    (
        "state_dir",
        "`$STATE_DIRECTORY` (systemd), else `/var/lib/lumen` for root and its owner, else `$XDG_STATE_HOME/lumen`",
    ),
    (
        "runtime_dir",
        "`$RUNTIME_DIRECTORY` (systemd), else `/run/lumen` for root and its owner, else `$XDG_RUNTIME_DIR/lumen`, else `/tmp/lumen-UID`",
    ),
];

/// The page.
pub fn page() -> String {
    let schema = Config::json_schema();
    let mut page = INTRODUCTION.to_owned();
    write(&mut page, "\n## At the top\n");
    let (tables, values): (Vec<&str>, Vec<&str>) =
        fields::<Config>().iter().partition(|name| table_of(&schema, &schema["properties"][**name]).is_some());
    for name in values {
        key(&mut page, &schema, &schema, "", name);
    }
    for name in tables {
        let property = &schema["properties"][name];
        let Some((table, list)) = table_of(&schema, property) else { continue };
        let heading = if list { format!("[[{name}]]") } else { format!("[{name}]") };
        let about = sentence(property);
        let more = sentence(table).replace(&format!("`[{name}]`: "), "");
        // What the type says beyond the property.
        let more = more.get(about.len()..).filter(|_| !list).unwrap_or_default();
        write(&mut page, &format!("\n## `{heading}`\n\n{about}{more}\n"));
        for inner in order_of(name) {
            key(&mut page, &schema, table, &format!("{name}."), inner);
        }
    }
    page
}

/// The keys of a table in the order of its type.
fn order_of(table: &str) -> &'static [&'static str] {
    match table {
        "stream" => fields::<StreamConfig>(),
        "encoder" => fields::<EncoderSettings>(),
        "audio" => fields::<AudioSettings>(),
        "apps" => fields::<AppConfig>(),
        "discovery" => fields::<DiscoveryConfig>(),
        "clients" => fields::<ClientConfig>(),
        "grants" => fields::<Grants>(),
        "log" => fields::<LogConfig>(),
        "admin" => fields::<AdminConfig>(),
        "web" => fields::<WebConfig>(),
        "metrics" => fields::<MetricsConfig>(),
        other => panic!("no type is known for the table {other}"),
    }
}

fn key(page: &mut String, schema: &Value, table: &Value, path: &str, name: &str) {
    let property = &table["properties"][name];
    let full = format!("{path}{name}");
    let kind = resolved(schema, property);
    let mut facts = vec![type_of(schema, property, kind)];
    let required = table["required"].as_array().is_some_and(|required| required.contains(&Value::from(name)));
    if required {
        facts.push("required".to_owned());
    } else {
        let depends = DEPENDS.iter().find(|(key, _)| *key == full).map(|(_, words)| (*words).to_owned());
        facts.push(format!("default: {}", depends.unwrap_or_else(|| value(&property["default"]))));
    }
    facts.extend(property["examples"].as_array().and_then(|all| all.first()).map(|v| format!("example: {}", value(v))));
    // A list of tables has no variables for its elements.
    if table["properties"].get("stream").is_some() || !matches!(path, "apps." | "clients.") {
        facts.push(format!("`{ENV_PREFIX}{}`", full.to_uppercase().replace('.', "__")));
    }
    write(page, &format!("\n### `{full}`\n\n{}\n\n{}\n", facts.join(" · "), sentence(property)));
    // Of a list, what each of it may be.
    let element = resolved(schema, &kind["items"]);
    if let Some(choices) = kind["oneOf"].as_array().or(element["oneOf"].as_array()) {
        page.push('\n');
        for choice in choices {
            write(page, &format!("- {}: {}\n", value(&choice["const"]), sentence(choice)));
        }
    }
}

/// The schema of a table, and whether there is a list of them; none for a value.
fn table_of<'a>(schema: &'a Value, property: &'a Value) -> Option<(&'a Value, bool)> {
    let direct = resolved(schema, property);
    let element = resolved(schema, &direct["items"]);
    [(direct, false), (element, true)].into_iter().find(|(kind, _)| kind.get("properties").is_some())
}

/// What a property refers to, without the possibility that it is unset.
fn resolved<'a>(schema: &'a Value, property: &'a Value) -> &'a Value {
    let variants = property["anyOf"].as_array();
    let property = variants.and_then(|all| all.iter().find(|one| one["type"] != "null")).unwrap_or(property);
    match property["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).expect("a definition of this schema"),
        None => property,
    }
}

fn type_of(schema: &Value, property: &Value, kind: &Value) -> String {
    if kind.get("oneOf").is_some() {
        return "one of those below".to_owned();
    }
    let name = match &kind["type"] {
        Value::Array(several) => several.iter().find_map(|name| name.as_str().filter(|name| *name != "null")),
        one => one.as_str(),
    };
    let bound = |key: &str| property.get(key).or(kind.get(key)).and_then(Value::as_u64);
    match name.expect("every key has a type") {
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => match (bound("minimum"), bound("maximum")) {
            (Some(least), Some(most)) => format!("whole number, {least} to {most}"),
            (least, _) => format!("whole number, {} or more", least.unwrap_or(0)),
        },
        "array" => format!("list, each {}", type_of(schema, &kind["items"], resolved(schema, &kind["items"]))),
        "string" => match (kind["format"].as_str(), bound("maxLength")) {
            (Some("ip"), _) => "IP address".to_owned(),
            (_, Some(most)) => format!("text, {} to {most} characters", bound("minLength").unwrap_or(0)),
            _ => "text".to_owned(),
        },
        "object" => "table of texts".to_owned(),
        other => panic!("no words for the type {other}"),
    }
}

fn value(value: &Value) -> String {
    if value.is_null() { "unset".to_owned() } else { format!("`{value}`") }
}

/// A description as running text with a capital at its start.
fn sentence(described: &Value) -> String {
    let text = described["description"].as_str().expect("everything is described").replace('\n', " ");
    match text.split_once("]`: ") {
        Some((head, rest)) if head.starts_with("`[") => {
            let mut letters = rest.chars();
            letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
        }
        _ => text,
    }
}

/// The fields of a struct in the order of its declaration, which a schema does not keep.
fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    let refused = T::deserialize(FieldNames(&mut names));
    assert!(refused.is_err() && !names.is_empty(), "not a struct");
    names
}

/// Takes note of the fields that a struct asks for, and gives it none.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names were wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

fn write(page: &mut String, text: &str) {
    page.write_str(text).expect("memory takes it");
}
