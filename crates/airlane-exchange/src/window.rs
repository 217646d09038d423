//! A part of what a ticket names, as a reader asks for it.

use airlane_model::{Result, RowRange};
use airlane_segment::Projection;

use crate::tickets::Reading;

/// Some rows and columns of what a ticket names. Only they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The columns, in this order; all when absent.
    pub columns: Option<Vec<String>>,
    /// How many rows of the ticket are left out before. Where there are no more, the window has none.
    pub offset: u64,
    /// How many rows at most; all that follow when absent.
    pub limit: Option<u64>,
}

impl Window {
    /// The part of a reading.
    ///
    /// # Errors
    /// `option_invalid` for columns that the reading does not have.
    pub(crate) fn of(&self, reading: Reading) -> Result<Reading> {
        let Reading { snapshot, rows, projection, pass } = reading;
        let start = rows.start.saturating_add(self.offset).min(rows.end);
        let end = self.limit.map_or(rows.end, |limit| start.saturating_add(limit).min(rows.end));
        let projection = match &self.columns {
            None => projection,
            Some(names) => {
                if let Some(wider) = &projection {
                    // What the ticket does not show must look as absent as anything else.
                    Projection::new(wider.schema(), names)?;
                }
                Some(Projection::new(snapshot.schema(), names)?)
            }
        };
        Ok(Reading { snapshot, rows: RowRange { start, end }, projection, pass })
    }
}
