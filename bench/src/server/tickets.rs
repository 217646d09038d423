//! Signing and opening tickets, in this process.

use std::time::{Duration, Instant};

use airlane_exchange::{Exchange, PutSpec, TicketSpec};
use airlane_model::{Caller, Ticket};
use airlane_segment::TableSchema;
use airlane_store::{Store, StoreOptions};
use tokio::runtime::Runtime;

use super::{Effort, ROWS, TABLE};
use crate::Result;
use crate::peer::Kind;
use crate::report::{Report, median};
use crate::table::Shape;

/// Signing and opening, with all that the exchange does beside: rights, the table's present version, its schema.
pub(super) fn measure(report: &mut Report, effort: &Effort, runtime: &Runtime) -> Result<()> {
    let exchange = Exchange::open(Store::open(StoreOptions::new(None))?.0)?;
    let batch = Shape::Mixed.batch(ROWS)?;
    let caller = Caller::local();
    let spec = PutSpec::new(TABLE.parse()?);
    let mut put = exchange.put_batches(&caller, spec, TableSchema::from_arrow(&batch.schema())?)?;
    put.append(&batch)?;
    runtime.block_on(put.commit())?;
    let plain: Ticket = TABLE.parse()?;
    let ttl = || TicketSpec { ttl: Some(Duration::from_secs(600)), ..TicketSpec::default() };
    let signed: Ticket = exchange.sign(&caller, &plain, ttl())?.ticket.into();
    let micros = |begin: Instant| begin.elapsed().as_secs_f64() * 1e6 / effort.tickets as f64;
    let (mut signing, mut opening) = (Vec::new(), Vec::new());
    for _ in 0..effort.turns {
        let begin = Instant::now();
        for _ in 0..effort.tickets {
            std::hint::black_box(exchange.sign(&caller, &plain, ttl())?);
        }
        signing.push(micros(begin));
        let begin = Instant::now();
        for _ in 0..effort.tickets {
            std::hint::black_box(exchange.schema(&caller, &signed)?);
        }
        opening.push(micros(begin));
    }
    for (measure, times) in [("signing a ticket", signing), ("opening a signed ticket and its table", opening)] {
        let middle = median(&times);
        report.figure(measure, "≤ 5 µs", format!("{middle:.2} µs"), middle <= 5.0);
        report.samples(measure, Kind::Airlane.name(), "µs", times);
    }
    Ok(())
}
