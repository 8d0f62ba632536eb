//! The application list (protocol part 1, section 4.1).

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::ReplyError;
use crate::gamestream::xml::{Reply, ReplyWriter, child_text, decimal};

/// Number of an application: 1..=2147483647, stable across restarts of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct AppId(u32);

impl AppId {
    /// An application number in 1..=2147483647.
    ///
    /// # Errors
    /// [`ReplyError::BadAppId`] for any other number.
    pub const fn new(id: u32) -> Result<Self, ReplyError> {
        if id == 0 || id > 0x7fff_ffff { Err(ReplyError::BadAppId) } else { Ok(Self(id)) }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for AppId {
    type Error = ReplyError;

    fn try_from(id: u32) -> Result<Self, ReplyError> {
        Self::new(id)
    }
}

impl From<AppId> for u32 {
    fn from(id: AppId) -> Self {
        id.0
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// One application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Title for the user; may be empty.
    pub title: String,
    /// Number.
    pub id: AppId,
    /// Whether it can be shown in HDR; informational.
    pub hdr: bool,
    /// Whether it collects other games, so that clients do not warn about absolute mouse mode.
    pub collector: bool,
}

/// At least one application, no number twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppList {
    apps: Vec<App>,
}

impl AppList {
    /// A list that clients accept.
    ///
    /// # Errors
    /// [`ReplyError::EmptyList`], [`ReplyError::DuplicateAppId`].
    pub fn new(apps: Vec<App>) -> Result<Self, ReplyError> {
        if apps.is_empty() {
            return Err(ReplyError::EmptyList);
        }
        let mut seen = BTreeSet::new();
        match apps.iter().find(|app| !seen.insert(app.id)) {
            Some(app) => Err(ReplyError::DuplicateAppId(app.id.get())),
            None => Ok(Self { apps }),
        }
    }

    /// The applications, in order.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The reply to `/applist`.
    pub fn to_xml(&self) -> String {
        let mut writer = ReplyWriter::ok();
        for app in &self.apps {
            writer = writer.group("App", |writer| {
                let writer = writer
                    .element("IsHdrSupported", u8::from(app.hdr))
                    .element("AppTitle", &app.title)
                    .element("ID", app.id);
                if app.collector { writer.element("IsAppCollectorGame", 1) } else { writer }
            });
        }
        writer.finish()
    }

    /// Reads a reply to `/applist`.
    ///
    /// # Errors
    /// [`ReplyError`] says what no client would accept.
    pub fn parse(xml: &str) -> Result<Self, ReplyError> {
        let reply = Reply::parse(xml)?;
        reply.refuse_whitespace()?;
        let mut apps = Vec::new();
        for element in reply.elements().filter(|element| element.tag_name().name() == "App") {
            let title = child_text(element, "AppTitle").ok_or(ReplyError::MissingElement("AppTitle"))?;
            let id = child_text(element, "ID").ok_or(ReplyError::MissingElement("ID"))?;
            let id = decimal(&id).and_then(|id| u32::try_from(id).ok()).ok_or(ReplyError::BadAppId)?;
            let flag = |name| child_text(element, name).as_deref() == Some("1");
            apps.push(App {
                title,
                id: AppId::new(id)?,
                hdr: flag("IsHdrSupported"),
                collector: flag("IsAppCollectorGame"),
            });
        }
        Self::new(apps)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(entries in proptest::collection::btree_map(1u32..=0x7fff_ffff, ("[ -~äöü]{0,30}", any::<bool>(), any::<bool>()), 1..20)) {
            let apps = entries
                .into_iter()
                .map(|(id, (title, hdr, collector))| App { title, id: AppId::new(id).unwrap(), hdr, collector })
                .collect();
            let list = AppList::new(apps).unwrap();
            prop_assert_eq!(AppList::parse(&list.to_xml()).unwrap(), list);
        }

        #[test]
        fn arbitrary_content_never_panics(content in "(<App>|</App>|<ID>|</ID>|[0-9 a-z&;]){0,30}") {
            let _ = AppList::parse(&format!("<root status_code=\"200\">{content}</root>"));
        }
    }
}
