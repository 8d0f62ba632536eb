//! Games of Lutris: the table `games` of its database `pga.db`, which is only read.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::findings::broken;
use super::{Art, Discovered, Findings, MOST, Source, Surroundings};

/// How long a database may be locked by Lutris itself.
const PATIENCE: Duration = Duration::from_millis(200);

pub(super) fn find(surroundings: &Surroundings, findings: &mut Findings) {
    let sandbox = surroundings.home.join(".var/app/net.lutris.Lutris");
    let installations: [(_, _, &[&str]); 2] = [
        (surroundings.data_home.join("lutris"), surroundings.cache_home.join("lutris"), &["lutris"]),
        (sandbox.join("data/lutris"), sandbox.join("cache/lutris"), &["flatpak", "run", "net.lutris.Lutris"]),
    ];
    for (data, cache, command) in installations {
        let database = data.join("pga.db");
        findings.watch(&database);
        // Changes since the last checkpoint are in the log beside it.
        findings.watch(&data.join("pga.db-wal"));
        if !database.is_file() || !command.first().is_some_and(|program| surroundings.has_program(program)) {
            continue;
        }
        match games(&database) {
            Ok(games) => {
                for (slug, title) in games {
                    let art = [&data, &cache]
                        .into_iter()
                        .map(|base| base.join("coverart").join(format!("{slug}.jpg")))
                        .find(|path| path.is_file());
                    let uri = format!("lutris:rungame/{slug}");
                    findings.add(Discovered {
                        key: format!("lutris:{slug}"),
                        source: Source::Lutris,
                        title,
                        command: command.iter().map(|part| (*part).to_owned()).chain([uri]).collect(),
                        directory: None,
                        art: art.map(Art::Poster),
                    });
                }
            }
            Err(error) => broken(&database, &error.to_string()),
        }
    }
}

/// Slugs and titles of what is installed.
fn games(path: &Path) -> rusqlite::Result<Vec<(String, String)>> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(PATIENCE)?;
    let mut statement = database.prepare("SELECT slug, name FROM games WHERE installed = 1 ORDER BY name LIMIT ?1")?;
    let rows = statement.query_map([MOST as i64], |row| {
        Ok((row.get::<_, Option<String>>(0)?.unwrap_or_default(), row.get::<_, Option<String>>(1)?.unwrap_or_default()))
    })?;
    let all: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    // A slug is a word; what is none could mean something else in a path or a URI.
    let word =
        |slug: &str| !slug.is_empty() && slug.bytes().all(|one| one.is_ascii_alphanumeric() || b"-_".contains(&one));
    Ok(all.into_iter().filter(|(slug, _)| word(slug)).collect())
}
