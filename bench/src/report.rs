//! Results: every sample as JSON, and a table of what was asked and what came out.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::Result;
use crate::machine::Machine;
use crate::peer::python;

/// One figure that was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) measure: String,
    pub(crate) asked: String,
    pub(crate) measured: String,
    pub(crate) reached: bool,
}

/// The samples of one server in one measure, in the order in which they were taken.
#[derive(Debug, Serialize)]
pub(crate) struct Samples {
    pub(crate) measure: String,
    pub(crate) server: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) values: Vec<f64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) title: &'static str,
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) machine: Machine,
    pub(crate) versions: Vec<String>,
    pub(crate) effort: String,
    /// A run that was stopped keeps what it had measured.
    pub(crate) complete: bool,
    #[serde(skip)]
    pub(crate) smoke: bool,
    /// Where the results go, without the extension.
    #[serde(skip)]
    pub(crate) file: PathBuf,
    pub(crate) figures: Vec<Figure>,
    pub(crate) samples: Vec<Samples>,
    /// What is drawn, each under a name and as SVG.
    #[serde(skip)]
    pub(crate) pictures: Vec<(&'static str, String)>,
}

impl Report {
    /// A report of a run on this machine; its results go to files of this name.
    pub(crate) fn new(title: &'static str, name: &str, effort: String, smoke: bool) -> Self {
        let pyarrow = python().args(["-c", "import pyarrow; print(pyarrow.__version__)"]).output();
        Self {
            title,
            date: output(Command::new("date").args(["-u", "+%Y-%m-%d"]).output()),
            commit: output(Command::new("git").args(["describe", "--always", "--dirty"]).output()),
            machine: Machine::here(),
            versions: vec![
                format!("airlane {}", env!("CARGO_PKG_VERSION")),
                format!("pyarrow {}", output(pyarrow)),
                "arrow-flight 59.3.2".to_owned(),
            ],
            effort,
            complete: false,
            smoke,
            file: Path::new(env!("CARGO_MANIFEST_DIR")).join("results").join(name),
            figures: Vec::new(),
            samples: Vec::new(),
            pictures: Vec::new(),
        }
    }

    pub(crate) fn figure(&mut self, measure: &str, asked: &str, measured: String, reached: bool) {
        // A smoke run moves too little to measure anything, so it judges nothing.
        let verdict = match (self.smoke, reached) {
            (true, _) => "    ",
            (false, true) => "ok  ",
            (false, false) => "MISS",
        };
        println!("{verdict}  {measure}: {measured} (asked: {asked})");
        let (measure, asked) = (measure.to_owned(), asked.to_owned());
        self.figures.push(Figure { measure, asked, measured, reached });
    }

    pub(crate) fn samples(&mut self, measure: &str, server: &'static str, unit: &'static str, values: Vec<f64>) {
        self.samples.push(Samples { measure: measure.to_owned(), server, unit, values });
    }

    /// A picture of what was measured; its file lies beside the results.
    pub(crate) fn picture(&mut self, name: &'static str, svg: String) {
        self.pictures.push((name, svg));
    }

    fn picture_file(&self, name: &str) -> String {
        format!("{}-{name}.svg", self.file.file_name().unwrap_or_default().display())
    }

    /// Writes what was measured so far; a smoke run measures nothing.
    pub(crate) fn save(&self) -> Result<()> {
        if self.smoke {
            return Ok(());
        }
        std::fs::write(self.file.with_extension("json"), serde_json::to_string_pretty(self)? + "\n")?;
        std::fs::write(self.file.with_extension("md"), self.markdown())?;
        for (name, svg) in &self.pictures {
            std::fs::write(self.file.with_file_name(self.picture_file(name)), svg)?;
        }
        Ok(())
    }

    /// Writes the results of a run that has come to its end.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.complete = true;
        self.save()
    }

    fn markdown(&self) -> String {
        let mut text = format!(
            "# Benchmark: {}\n\n{}, commit {}. Effort: `{}`.\n\n",
            self.title, self.date, self.commit, self.effort
        );
        if !self.complete {
            text.push_str("**Stopped before its end**: what comes later in a run is missing.\n\n");
        }
        let machine = serde_json::to_string(&self.machine).unwrap_or_default();
        let _ = writeln!(text, "Machine: `{machine}`. Versions: {}.\n", self.versions.join(", "));
        let _ = writeln!(text, "| measure | asked | measured | reached |\n| --- | --- | --- | --- |");
        for figure in &self.figures {
            let reached = if figure.reached { "yes" } else { "**no**" };
            let _ = writeln!(text, "| {} | {} | {} | {reached} |", figure.measure, figure.asked, figure.measured);
        }
        for (name, _) in &self.pictures {
            let _ = writeln!(text, "\n![{name}]({})", self.picture_file(name));
        }
        let _ = writeln!(
            text,
            "\n## Medians\n\n| measure | server | median | unit | samples |\n| --- | --- | --- | --- | --- |"
        );
        for samples in &self.samples {
            let Samples { measure, server, unit, values } = samples;
            let _ = writeln!(text, "| {measure} | {server} | {:.4} | {unit} | {} |", median(values), values.len());
        }
        text
    }
}

fn output(ran: std::io::Result<std::process::Output>) -> String {
    String::from_utf8_lossy(&ran.map(|output| output.stdout).unwrap_or_default()).trim().to_owned()
}

/// The middle value; of an even number the mean of the two middle ones.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile_sorted(values, |sorted| {
        let middle = sorted.len() / 2;
        if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
    })
}

/// The value below which `share` of the values lie.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    percentile_sorted(values, |sorted| sorted[((sorted.len() - 1) as f64 * share).round() as usize])
}

fn percentile_sorted(values: &[f64], pick: impl Fn(&[f64]) -> f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() { f64::NAN } else { pick(&sorted) }
}
