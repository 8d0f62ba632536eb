//! The keys that exist, read from the JSON Schema of [`Config`](super::Config), so that the list cannot drift
//! from the types.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// A tree of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    /// A table with these keys.
    Table(BTreeMap<String, Keys>),
    /// A list of tables or values.
    List(Box<Keys>),
    /// A value.
    Leaf,
}

impl Keys {
    /// The keys of [`Config`].
    pub(super) fn of_config() -> Self {
        Self::from_schema(&schema())
    }

    /// What lies under `key`.
    pub(super) fn child(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Table(children) => children.get(key),
            Self::List(_) | Self::Leaf => None,
        }
    }

    /// The known key, with dots, that looks most like `wrong` in the table at `path`. Keys of that table win over
    /// others, unless one elsewhere has the very name.
    pub(super) fn nearest(&self, path: &[String], wrong: &str) -> String {
        let mut all = Vec::new();
        self.collect(&mut Vec::new(), &mut all);
        let score = |candidate: &Vec<String>| {
            let (name, parents) = candidate.split_last().map_or(("", &[][..]), |(name, parents)| (&**name, parents));
            let likeness = strsim::jaro_winkler(wrong, name);
            if parents == path { likeness + 0.25 } else { likeness }
        };
        all.iter().max_by(|a, b| score(a).total_cmp(&score(b))).map(|best| best.join(".")).unwrap_or_default()
    }

    fn from_schema(schema: &Value) -> Self {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            return Self::Table(
                properties.iter().map(|(key, value)| (key.clone(), Self::from_schema(value))).collect(),
            );
        }
        match schema.get("items") {
            Some(items) => Self::List(Box::new(Self::from_schema(items))),
            None => Self::Leaf,
        }
    }

    fn collect(&self, path: &mut Vec<String>, into: &mut Vec<Vec<String>>) {
        match self {
            Self::Table(children) => {
                for (key, child) in children {
                    path.push(key.clone());
                    into.push(path.clone());
                    child.collect(path, into);
                    path.pop();
                }
            }
            Self::List(element) => element.collect(path, into),
            Self::Leaf => {}
        }
    }
}

/// The schema, with every part where it is used.
pub(super) fn schema() -> Value {
    SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_key_finds_its_neighbour() {
        let keys = Keys::of_config();
        assert_eq!(keys.nearest(&["stream".to_owned()], "fec_percent"), "stream.fec_percentage");
        assert_eq!(keys.nearest(&[], "prot"), "port");
    }

    #[test]
    fn a_key_in_the_wrong_table_finds_the_right_one() {
        let keys = Keys::of_config();
        assert_eq!(keys.nearest(&[], "fec_percentage"), "stream.fec_percentage");
        assert_eq!(keys.nearest(&["apps".to_owned()], "displays"), "apps.display");
    }
}
