//! `lumen doctor`: what works here, and how to fix what does not.
//!
//! Each check looks for itself and finds something, never stops another one, and changes nothing. A failure means
//! that the host cannot do its job; a warning, that it does it less well.

mod checks;
mod displays;
mod network;
mod system;

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::Sources;
use crate::encode::EncoderInfo;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// All is well.
    Ok,
    /// It works less well than it could.
    Warn,
    /// It does not work.
    Fail,
}

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Name of the check.
    pub check: &'static str,
    /// How it came out.
    pub status: Health,
    /// What was found.
    pub finding: String,
    /// What to do, if anything.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, finding: impl Into<String>) -> Self {
        Self { check, status: Health::Ok, finding: finding.into(), remedy: None }
    }

    fn warn(check: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, status: Health::Warn, finding: finding.into(), remedy: Some(remedy.into()) }
    }

    fn fail(check: &'static str, finding: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, status: Health::Fail, finding: finding.into(), remedy: Some(remedy.into()) }
    }
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// Version of this program.
    pub version: &'static str,
    /// The worst of all.
    pub status: Health,
    /// One for each check, in the order in which a host comes up.
    pub findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        let status = findings.iter().map(|finding| finding.status).max().unwrap_or(Health::Ok);
        Self { version: env!("CARGO_PKG_VERSION"), status, findings }
    }

    /// Whether a host can do its job here.
    pub fn works(&self) -> bool {
        self.status != Health::Fail
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        for Finding { check, status, finding, remedy } in &self.findings {
            let mark = match status {
                Health::Ok => "ok  ",
                Health::Warn => "warn",
                Health::Fail => "FAIL",
            };
            writeln!(f, "{mark}  {check:width$}  {finding}")?;
            if let Some(remedy) = remedy {
                writeln!(f, "      {:width$}  -> {remedy}", "")?;
            }
        }
        let count = |health| self.findings.iter().filter(|finding| finding.status == health).count();
        match (count(Health::Fail), count(Health::Warn)) {
            (0, 0) => writeln!(f, "\nAll is well."),
            (0, warnings) => writeln!(f, "\nThis host works; {warnings} thing(s) could be better."),
            (failures, _) => writeln!(f, "\nThis host does not work yet: {failures} thing(s) to fix."),
        }
    }
}

/// Runs all checks on the configuration that `sources` give. `encoders` is what was found to encode with: looking for
/// it runs foreign libraries, which is best left to another process.
pub fn examine(sources: &Sources, encoders: &anyhow::Result<Vec<EncoderInfo>>) -> Report {
    let (config, finding) = checks::config(sources);
    let mut findings = vec![finding];
    findings.push(checks::state_directory(&config));
    findings.push(checks::admin_socket(&config));
    findings.push(network::ports(&config));
    findings.push(network::ipv6(&config));
    findings.push(network::addresses());
    findings.push(network::discovery(&config));
    findings.extend(checks::encoders(encoders));
    findings.push(checks::nvenc(encoders));
    findings.extend(displays::findings());
    findings.push(network::segmentation());
    findings.push(network::buffers());
    findings.push(system::realtime(&config));
    findings.push(system::processors());
    findings.push(system::gamepads());
    findings.push(system::service_manager());
    Report::new(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let fine = Finding::ok("a", "fine");
        let report = Report::new(vec![fine.clone(), Finding::warn("b", "slow", "hurry")]);
        assert!(report.works());
        assert!(report.to_string().contains("warn  b  slow\n         -> hurry\n"), "{report}");
        assert!(!Report::new(vec![fine, Finding::fail("c", "broken", "mend it")]).works());
    }

    #[test]
    fn every_finding_that_is_not_well_has_a_remedy() {
        let sources = Sources { file: Some("/nonexistent.toml".into()), ..Sources::default() };
        let report = examine(&sources, &Ok(crate::encode::probe().to_vec()));
        assert!(!report.works());
        for finding in report.findings {
            assert_eq!(finding.status != Health::Ok, finding.remedy.is_some(), "{finding:?}");
        }
    }
}
