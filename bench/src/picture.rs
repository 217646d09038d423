//! Pictures of results, as SVG: bars, one below the other, and lines.
//!
//! ```text
//! title                              title
//! group                              10 ┤        ╭───── name of a line
//!   name ▇▇▇▇▇▇▇▇▇ value              1 ┤───────╯
//!   name ▇▇▇ value                      └─┬───┬───┬───
//! ```
//!
//! Every bar and every point has its value beside it, so no picture has to be read off an axis.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 20.0;
const TITLE_HEIGHT: f64 = 52.0;
const COLORS: [&str; 3] = ["#1f6feb", "#8c959f", "#bf8700"];
const INK: &str = "#1f2328";
const PALE: &str = "#d1d9e0";

/// How lengths stand for values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// For values of which some are many times others. None of them may be zero.
    Logarithmic,
}

impl Scale {
    /// Where a value lies between the least and the most, from 0 to 1.
    fn place(self, value: f64, least: f64, most: f64) -> f64 {
        let place = match self {
            Self::Linear => (value - least) / (most - least),
            Self::Logarithmic => (value.ln() - least.ln()) / (most.ln() - least.ln()),
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Bars in groups. The same name has the same colour in every group.
#[derive(Debug)]
pub(crate) struct Bars {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) scale: Scale,
    pub(crate) groups: Vec<Group>,
}

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) bars: Vec<Bar>,
}

#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
}

impl Bars {
    pub(crate) fn svg(&self) -> String {
        const ROW: f64 = 26.0;
        const GROUP: f64 = 30.0;
        const LEFT: f64 = 190.0;
        const RIGHT: f64 = 110.0;
        let values = || self.groups.iter().flat_map(|group| &group.bars).map(|bar| bar.value);
        let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN_POSITIVE, f64::max));
        let least = match self.scale {
            Scale::Linear => 0.0,
            // A whole power of ten below the least, so that this one has a length as well.
            Scale::Logarithmic => {
                10_f64.powf(least.log10().floor() - if least.log10().fract() == 0.0 { 1.0 } else { 0.0 })
            }
        };
        let rows: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let height = TITLE_HEIGHT + GROUP * self.groups.len() as f64 + ROW * rows as f64 + MARGIN;
        let mut drawing = Drawing::new(height, &self.title, &self.note());
        let mut names: Vec<&str> = Vec::new();
        let mut y = TITLE_HEIGHT;
        for group in &self.groups {
            drawing.text(MARGIN, y + 20.0, Anchor::Start, true, &group.name);
            y += GROUP;
            for bar in &group.bars {
                let color = names.iter().position(|name| *name == bar.name).unwrap_or_else(|| {
                    names.push(&bar.name);
                    names.len() - 1
                });
                let length = self.scale.place(bar.value, least, most) * (WIDTH - LEFT - RIGHT);
                drawing.text(LEFT - 8.0, y + 17.0, Anchor::End, false, &bar.name);
                drawing.bar(LEFT, y + 3.0, length.max(1.0), ROW - 6.0, COLORS[color % COLORS.len()]);
                let value = format!("{} {}", told(bar.value), self.unit);
                drawing.text(LEFT + length.max(1.0) + 6.0, y + 17.0, Anchor::Start, false, &value);
                y += ROW;
            }
        }
        drawing.finish()
    }

    fn note(&self) -> String {
        match self.scale {
            Scale::Linear => self.unit.to_owned(),
            Scale::Logarithmic => format!("{}, logarithmic", self.unit),
        }
    }
}

/// Lines over one axis. Both axes are logarithmic.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    /// What is written below the points.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Lines {
    pub(crate) fn svg(&self) -> String {
        const HEIGHT: f64 = 380.0;
        const LEFT: f64 = 80.0;
        const RIGHT: f64 = 60.0;
        const TOP: f64 = TITLE_HEIGHT + 34.0;
        const BOTTOM: f64 = HEIGHT - 44.0;
        let mut drawing = Drawing::new(HEIGHT, &self.title, &format!("{}, both axes logarithmic", self.unit));
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
        let low = values().fold(f64::MAX, f64::min).log10().floor();
        let high = values().fold(f64::MIN_POSITIVE, f64::max).log10().ceil().max(low + 1.0);
        let first = self.ticks.iter().map(|tick| tick.0).fold(f64::MAX, f64::min);
        let last = self.ticks.iter().map(|tick| tick.0).fold(f64::MIN_POSITIVE, f64::max);
        let x = |value: f64| LEFT + 20.0 + Scale::Logarithmic.place(value, first, last) * (WIDTH - LEFT - RIGHT - 20.0);
        let y = |value: f64| BOTTOM - Scale::Linear.place(value.log10(), low, high) * (BOTTOM - TOP);
        for power in (low as i32)..=(high as i32) {
            let value = 10_f64.powi(power);
            drawing.line(LEFT, y(value), WIDTH - RIGHT + 20.0, y(value), PALE);
            drawing.text(LEFT - 8.0, y(value) + 4.0, Anchor::End, false, &told(value));
        }
        for (at, name) in &self.ticks {
            drawing.text(x(*at), BOTTOM + 22.0, Anchor::Middle, false, name);
        }
        let mut legend = LEFT;
        for (line, color) in self.lines.iter().zip(COLORS) {
            drawing.bar(legend, TITLE_HEIGHT - 2.0, 12.0, 12.0, color);
            drawing.text(legend + 18.0, TITLE_HEIGHT + 9.0, Anchor::Start, false, &line.name);
            legend += 300.0;
            let points: Vec<(f64, f64)> = line.points.iter().map(|(at, value)| (x(*at), y(*value))).collect();
            drawing.path(&points, color);
            for (place, (_, value)) in points.iter().zip(&line.points) {
                drawing.dot(*place, color);
                drawing.text(place.0, place.1 - 10.0, Anchor::Middle, false, &told(*value));
            }
        }
        drawing.finish()
    }
}

/// A value with as many digits as say something.
fn told(value: f64) -> String {
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text.as_str() };
    short.to_owned()
}

#[derive(Clone, Copy, Debug)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// The elements so far.
struct Drawing(String);

impl Drawing {
    fn new(height: f64, title: &str, note: &str) -> Self {
        let mut drawing = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n<title>{}</title>\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            escaped(title)
        ));
        let _ = writeln!(
            drawing.0,
            "<text x=\"{MARGIN}\" y=\"30\" font-size=\"16\" font-weight=\"bold\" fill=\"{INK}\">{} \
             <tspan font-size=\"13\" font-weight=\"normal\">({})</tspan></text>",
            escaped(title),
            escaped(note)
        );
        drawing
    }

    fn text(&mut self, x: f64, y: f64, anchor: Anchor, is_bold: bool, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if is_bold { " font-weight=\"bold\"" } else { "" };
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{weight} fill=\"{INK}\">{text}</text>"
        );
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, color: &str) {
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>"
        );
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, color: &str) {
        let _ =
            writeln!(self.0, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\"/>");
    }

    fn path(&mut self, points: &[(f64, f64)], color: &str) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = writeln!(self.0, "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>");
    }

    fn dot(&mut self, (x, y): (f64, f64), color: &str) {
        let _ = writeln!(self.0, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{color}\"/>");
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_where_its_scale_has_it() {
        assert!((Scale::Linear.place(5.0, 0.0, 20.0) - 0.25).abs() < 1e-9);
        assert!((Scale::Logarithmic.place(10.0, 1.0, 100.0) - 0.5).abs() < 1e-9);
        // Of one value alone, and of nothing, there is no place.
        assert!(Scale::Linear.place(3.0, 3.0, 3.0).abs() < 1e-9);
        assert!(Scale::Logarithmic.place(0.0, 1.0, 100.0).abs() < 1e-9);
    }

    #[test]
    fn values_are_told_with_the_digits_that_say_something() {
        let told: Vec<String> = [2731.4, 100.0, 42.68, 6.5, 0.1234, 0.0004].map(told).to_vec();
        assert_eq!(told, ["2731", "100", "42.7", "6.5", "0.123", "0"]);
    }

    #[test]
    fn bars_say_names_and_values_and_what_is_no_markup() {
        let bar = |name: &str, value| Bar { name: name.to_owned(), value };
        let groups = vec![Group { name: "a < b".to_owned(), bars: vec![bar("one", 1.0), bar("two", 250.0)] }];
        let svg = Bars { title: "R & D".to_owned(), unit: "ms", scale: Scale::Logarithmic, groups }.svg();
        for part in ["R &amp; D", "a &lt; b", ">one<", ">250 ms<", COLORS[0], COLORS[1], "</svg>"] {
            assert!(svg.contains(part), "{part} is missing in {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn lines_have_a_point_for_each_value() {
        let line = Line { name: "first".to_owned(), points: vec![(64.0, 0.5), (4096.0, 0.7)] };
        let ticks = vec![(64.0, "64 MiB".to_owned()), (4096.0, "4 GiB".to_owned())];
        let svg = Lines { title: "sizes".to_owned(), unit: "ms", ticks, lines: vec![line] }.svg();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains(">4 GiB<") && svg.contains(">0.5<") && !svg.contains("NaN"), "{svg}");
    }
}
