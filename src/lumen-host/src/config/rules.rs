//! What may stand at a key, read from the JSON Schema of [`Config`] like the [keys](super::keys) themselves: what to
//! write instead of a wrong value, and numbers that are out of range. No rule is written down twice.

use serde_json::Value;

use super::Config;
use super::keys;

/// What the numbers that have no bound of their own are bounded by.
const UNBOUNDED: i64 = u32::MAX as i64;

/// The rules of all keys.
pub(super) struct Rules(Value);

impl Rules {
    /// Those of [`Config`].
    pub(super) fn of_config() -> Self {
        Self(keys::schema())
    }

    /// What to write at the dotted `key`, as a sentence without its point; nothing for a key that there is not.
    pub(super) fn remedy(&self, key: &str) -> Option<String> {
        let rule = self.at(key)?;
        let (list, name) = key.rsplit_once('.').unwrap_or(("", key));
        let example = |rule: &Value| rule.get("examples").and_then(|examples| examples.get(0)).cloned();
        let example = match example(rule) {
            // An element looks like the first of its list.
            None if name.parse::<usize>().is_ok() => {
                self.at(list).and_then(example).and_then(|list| list.get(0).cloned())
            }
            example => example,
        };
        let what = expected(rule, name);
        Some(match example {
            Some(example) => format!("write {what}, such as {example}"),
            None => format!("write {what}"),
        })
    }

    /// What a key that is missing at `path` is for.
    pub(super) fn description(&self, path: &str, key: &str) -> Option<&str> {
        let key = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        self.at(&key)?.get("description")?.as_str()
    }

    /// Keys whose numbers are out of range, with the numbers.
    pub(super) fn out_of_range(&self, config: &Config) -> Vec<(String, i64)> {
        fn look(rule: &Value, value: &Value, path: &mut Vec<String>, found: &mut Vec<(String, i64)>) {
            match value {
                Value::Object(entries) => {
                    for (key, value) in entries {
                        let Some(rule) = child(rule, key) else { continue };
                        path.push(key.clone());
                        look(rule, value, path, found);
                        path.pop();
                    }
                }
                Value::Array(elements) => {
                    let Some(rule) = rule.get("items") else { return };
                    for (index, value) in elements.iter().enumerate() {
                        path.push(index.to_string());
                        look(rule, value, path, found);
                        path.pop();
                    }
                }
                _ => {
                    if let (Some(number), Some((least, most))) = (value.as_i64(), range(rule))
                        && !(least..=most).contains(&number)
                    {
                        found.push((path.join("."), number));
                    }
                }
            }
        }
        let mut found = Vec::new();
        if let Ok(value) = serde_json::to_value(config) {
            look(&self.0, &value, &mut Vec::new(), &mut found);
        }
        found
    }

    fn at(&self, key: &str) -> Option<&Value> {
        key.split('.').try_fold(&self.0, |rule, part| match rule.get("items") {
            Some(items) if part.parse::<usize>().is_ok() => Some(items),
            _ => child(rule, part),
        })
    }
}

/// The rule of a key of a table, whose names may be free.
fn child<'a>(rule: &'a Value, key: &str) -> Option<&'a Value> {
    let named = rule.get("properties").and_then(|properties| properties.get(key));
    named.or_else(|| rule.get("additionalProperties").filter(|rule| rule.is_object()))
}

/// The rule of a value that may be left out, without that.
fn set(rule: &Value) -> &Value {
    let choices = rule.get("anyOf").and_then(Value::as_array);
    choices.into_iter().flatten().find(|choice| choice["type"] != "null").unwrap_or(rule)
}

fn kind(rule: &Value) -> Option<&str> {
    match &rule["type"] {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null"),
        _ => None,
    }
}

fn range(rule: &Value) -> Option<(i64, i64)> {
    let rule = set(rule);
    if kind(rule) != Some("integer") {
        return None;
    }
    let format = match rule["format"].as_str() {
        Some("uint8") => (0, i64::from(u8::MAX)),
        Some("uint16") => (0, i64::from(u16::MAX)),
        Some("uint32") => (0, UNBOUNDED),
        _ => (i64::MIN, i64::MAX),
    };
    Some((rule["minimum"].as_i64().unwrap_or(format.0), rule["maximum"].as_i64().unwrap_or(format.1)))
}

/// What a rule demands of the value of the key `name`.
fn expected(rule: &Value, name: &str) -> String {
    let description = rule["description"].as_str().unwrap_or_default().trim_end_matches('.');
    let rule = set(rule);
    if let Some(choices) = rule.get("oneOf").and_then(Value::as_array) {
        let names: Vec<String> = choices.iter().map(|choice| choice["const"].to_string()).collect();
        return format!("one of {}", names.join(", "));
    }
    match range(rule) {
        Some((least, UNBOUNDED)) => return format!("a whole number, {least} or more"),
        Some((least, most)) => return format!("a whole number from {least} to {most}"),
        None => {}
    }
    match kind(rule) {
        Some("boolean") => "true or false".to_owned(),
        Some("array") => match rule.get("items") {
            Some(items) if kind(set(items)) == Some("object") => format!("each of them under [[{name}]]"),
            Some(items) => format!("a list in [ ], each of it {}", expected(items, name)),
            None => "a list in [ ]".to_owned(),
        },
        Some("object") => format!("its keys under [{name}]"),
        _ if rule.get("pattern").is_some() => format!("a text in quotes ({description})"),
        _ => "a text in quotes".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_remedy() {
        let rules = Rules::of_config();
        let remedy = |key: &str| rules.remedy(key).unwrap_or_else(|| panic!("nothing about {key}"));
        assert_eq!(remedy("port"), "write a whole number from 1029 to 65514");
        assert_eq!(remedy("mdns"), "write true or false");
        assert_eq!(remedy("stream.keep_alive"), "write a whole number, 0 or more");
        assert_eq!(remedy("log.format"), "write one of \"text\", \"json\"");
        assert_eq!(remedy("apps.3.id"), "write a whole number from 1 to 2147483647");
        assert_eq!(remedy("apps.0.command.1"), "write a text in quotes, such as \"steam\"");
        assert_eq!(remedy("apps.0.environment.DISPLAY"), "write a text in quotes");
        assert!(remedy("encoder.only").starts_with("write one of \"nvenc\", \"x264\""));
        assert_eq!(rules.remedy("apps.0.colour"), None);
    }

    #[test]
    fn defaults_are_in_range() {
        assert_eq!(Rules::of_config().out_of_range(&Config::default()), []);
    }
}
