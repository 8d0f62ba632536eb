//! The text format of Prometheus, version 0.0.4: families with their help and type, samples with labels, histograms.

use std::fmt::{Display, Write as _};

/// What kind of numbers a family has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They are as they are now.
    Gauge,
    /// They fall into buckets.
    Histogram,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Type of the page for HTTP.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family, of which all samples must follow.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {}", kind.as_str()));
        Family { page: self, name }
    }

    /// A family with one number without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.0
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Memory takes everything.
        let _ = writeln!(self.0, "{text}");
    }
}

/// A family that takes its samples.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'a str,
}

impl Family<'_> {
    /// One number.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        self.line("", labels, value)
    }

    /// A histogram: the upper bounds of its buckets in microseconds, how many fell into each and beyond the last, and the
    /// sum of all in microseconds. Written in seconds.
    pub fn histogram_us(&mut self, bounds: &[u32], counts: &[u64], sum: u64) -> &mut Self {
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(counts) {
            below += count;
            self.line("_bucket", &[("le", &seconds(u64::from(*bound)))], below);
        }
        let all: u64 = counts.iter().sum();
        self.line("_bucket", &[("le", "+Inf")], all).line("_sum", &[], seconds(sum)).line("_count", &[], all)
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) -> &mut Self {
        let name = self.name;
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        match labels.len() {
            0 => self.page.line(format_args!("{name}{suffix} {value}")),
            _ => self.page.line(format_args!("{name}{suffix}{{{}}} {value}", labels.join(","))),
        }
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Microseconds as seconds, exactly and without needless zeros.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_line_or_a_label_is_escaped() {
        let mut page = Page::default();
        page.family("a_total", Kind::Counter, "one \\ two\nthree")
            .sample(&[("name", "a \"b\" \\ c\nd"), ("x", "y")], 7);
        page.single("b", Kind::Gauge, "Plain.", 0.5);
        assert_eq!(
            page.into_text(),
            "# HELP a_total one \\\\ two\\nthree\n# TYPE a_total counter\n\
             a_total{name=\"a \\\"b\\\" \\\\ c\\nd\",x=\"y\"} 7\n\
             # HELP b Plain.\n# TYPE b gauge\nb 0.5\n"
        );
    }

    #[test]
    fn buckets_are_cumulative_and_in_seconds() {
        let mut page = Page::default();
        page.family("t_seconds", Kind::Histogram, "T.").histogram_us(&[500, 1_000_000], &[2, 3, 4], 12_500_001);
        let text = page.into_text();
        let samples: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "t_seconds_bucket{le=\"0.0005\"} 2",
                "t_seconds_bucket{le=\"1\"} 5",
                "t_seconds_bucket{le=\"+Inf\"} 9",
                "t_seconds_sum 12.500001",
                "t_seconds_count 9",
            ]
        );
    }
}
