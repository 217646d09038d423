//! Aligned tables, readable without colour.

/// On which side the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows of texts below a header.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    subtitles: Option<Vec<String>>,
    rows: Vec<Vec<String>>,
}

const GAP: &str = "  ";

impl Table {
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        Self {
            columns: columns.into_iter().map(|(name, align)| (name.to_owned(), align)).collect(),
            subtitles: None,
            rows: Vec::new(),
        }
    }

    /// Adds a second line to the header.
    pub(crate) fn subtitle<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.subtitles = Some(cells.into_iter().map(Into::into).collect());
    }

    /// Adds a row of as many cells as there are columns.
    pub(crate) fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The table as lines, each with its end.
    pub(crate) fn render(&self) -> String {
        let lines = || self.subtitles.iter().chain(&self.rows);
        let cells_of = |column: usize| lines().filter_map(move |row| row.get(column));
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|column| {
                cells_of(column).map(|cell| width(cell)).max().unwrap_or(0).max(width(&self.columns[column].0))
            })
            .collect();
        let line = |cells: &[String]| {
            let cells = cells
                .iter()
                .zip(&self.columns)
                .zip(&widths)
                .map(|((cell, (_, align)), width)| pad(cell, *width, *align));
            let line = cells.collect::<Vec<_>>().join(GAP);
            format!("{}\n", line.trim_end())
        };
        let header: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let mut text = line(&header);
        text.extend(self.subtitles.iter().map(|cells| line(cells)));
        text.push_str(&line(&rule));
        text.extend(self.rows.iter().map(|row| line(row)));
        text
    }
}

/// The width that a text takes on a terminal, taking each character for one cell.
pub(crate) fn width(text: &str) -> usize {
    text.chars().count()
}

fn pad(text: &str, to: usize, align: Align) -> String {
    let space = " ".repeat(to.saturating_sub(width(text)));
    match align {
        Align::Left => format!("{text}{space}"),
        Align::Right => format!("{space}{text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("name", Align::Left), ("rows", Align::Right)]);
        table.push(["flights", "336,776"]);
        table.push(["größe", "1"]);
        assert_eq!(table.render(), "name        rows\n───────  ───────\nflights  336,776\ngröße          1\n");
    }
}
