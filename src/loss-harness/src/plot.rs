//! Plots as SVG: groups of bars, and lines over time. As much as the book needs.

use std::fmt::Write as _;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 60.0;
/// Told apart by people who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"];

/// How values become heights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// From 0 to this.
    Linear(f64),
    /// By powers of ten, from this exponent to that.
    Log(i32, i32),
}

impl Scale {
    /// 0 at the bottom, 1 at the top.
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear(most) => value / most,
            Self::Log(low, high) => (value.max(1e-300).log10() - f64::from(low)) / f64::from(high - low),
        }
        .clamp(0.0, 1.0)
    }

    fn marks(self) -> Vec<(f64, String)> {
        match self {
            Self::Linear(most) => (0..=5).map(|i| most * f64::from(i) / 5.0).map(|v| (v, tidy(v))).collect(),
            Self::Log(low, high) => {
                let every = ((high - low) / 6).max(1);
                (low..=high)
                    .filter(|exponent| (high - exponent) % every == 0)
                    .map(|exponent| (10f64.powi(exponent), format!("1e{exponent}")))
                    .collect()
            }
        }
    }
}

fn tidy(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A plot with several series.
#[derive(Debug)]
pub struct Plot {
    body: String,
    scale: Scale,
    series: Vec<String>,
}

impl Plot {
    /// An empty one.
    pub fn new(title: &str, axis: &str, scale: Scale) -> Self {
        let mut body = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
             <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n\
             <text x=\"15\" y=\"{}\" transform=\"rotate(-90 15 {})\" text-anchor=\"middle\">{}</text>\n",
            escape(title),
            (TOP + HEIGHT - BOTTOM) / 2.0,
            (TOP + HEIGHT - BOTTOM) / 2.0,
            escape(axis),
        );
        for (value, label) in scale.marks() {
            let y = height(scale.place(value));
            let _ = writeln!(
                body,
                "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
            );
        }
        Self { body, scale, series: Vec::new() }
    }

    /// Groups of bars: for each group its name and a value for each series. A value below the scale is no bar.
    pub fn bars(mut self, series: &[&str], groups: &[(String, Vec<f64>)]) -> String {
        self.series = series.iter().map(|&name| name.to_owned()).collect();
        let group_width = (WIDTH - LEFT - RIGHT) / groups.len().max(1) as f64;
        let bar = group_width * 0.8 / series.len().max(1) as f64;
        for (number, (name, values)) in groups.iter().enumerate() {
            let x = LEFT + group_width * (number as f64 + 0.1);
            for (i, value) in values.iter().enumerate() {
                let top = height(self.scale.place(*value));
                let _ = writeln!(
                    self.body,
                    "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                    x + bar * i as f64,
                    (bar - 1.0).max(1.0),
                    height(0.0) - top,
                    COLOURS[i % COLOURS.len()],
                );
            }
            for (line, part) in name.split('\n').enumerate() {
                let _ = writeln!(
                    self.body,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    x + group_width * 0.4,
                    HEIGHT - BOTTOM + 18.0 + 15.0 * line as f64,
                    escape(part),
                );
            }
        }
        self.finish()
    }

    /// Lines over `x_axis` from 0 to `x_most`.
    pub fn lines(mut self, x_axis: &str, x_most: f64, lines: &[(&str, Vec<(f64, f64)>)]) -> String {
        self.series = lines.iter().map(|(name, _)| (*name).to_owned()).collect();
        let place = |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * x / x_most;
        for (number, (_, points)) in lines.iter().enumerate() {
            let path: Vec<_> =
                points.iter().map(|(x, y)| format!("{:.1},{:.1}", place(*x), height(self.scale.place(*y)))).collect();
            let _ = writeln!(
                self.body,
                "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>",
                COLOURS[number % COLOURS.len()],
                path.join(" "),
            );
        }
        for i in 0..=10 {
            let x = x_most * f64::from(i) / 10.0;
            let _ = writeln!(
                self.body,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                place(x),
                HEIGHT - BOTTOM + 18.0,
                tidy(x),
            );
        }
        let _ = writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            WIDTH / 2.0,
            HEIGHT - BOTTOM + 40.0,
            escape(x_axis),
        );
        self.finish()
    }

    fn finish(mut self) -> String {
        let mut x = LEFT;
        for (number, name) in self.series.iter().enumerate() {
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.0}\" y=\"32\" width=\"11\" height=\"11\" fill=\"{}\"/><text x=\"{:.0}\" y=\"42\">{}</text>",
                COLOURS[number % COLOURS.len()],
                x + 16.0,
                escape(name),
            );
            x += 32.0 + 6.6 * name.chars().count() as f64;
        }
        self.body + "</svg>\n"
    }
}

fn height(share: f64) -> f64 {
    HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_find_their_place() {
        assert_eq!(Scale::Linear(4.0).place(1.0), 0.25);
        assert!((Scale::Log(-4, 0).place(1e-3) - 0.25).abs() < 1e-12);
        assert_eq!(Scale::Log(-4, 0).place(0.0), 0.0);
        assert_eq!(Scale::Linear(1.0).place(9.0), 1.0);
    }

    #[test]
    fn a_plot_is_well_formed_whatever_its_names_are() {
        let bars = Plot::new("a < b & c", "share", Scale::Log(-4, 0))
            .bars(&["one", "two"], &[("x\ny".into(), vec![0.1, 0.0]), ("z".into(), vec![1.0, 0.5])]);
        assert!(bars.contains("a &lt; b &amp; c") && bars.ends_with("</svg>\n"));
        assert_eq!(bars.matches("<rect").count(), 1 + 4 + 2);
        let lines = Plot::new("t", "u", Scale::Linear(2.0)).lines("s", 10.0, &[("l", vec![(0.0, 0.0), (10.0, 2.0)])]);
        assert!(lines.contains("points=\"70.0,320.0 880.0,60.0\""), "{lines}");
    }
}
