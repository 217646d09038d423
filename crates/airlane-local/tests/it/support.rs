//! A door over a store in memory, and a client that speaks the protocol by hand.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::Exchange;
use airlane_gate::{CallGate, Drain, Gate, Peer, Shown};
use airlane_handover::frame::Frame;
use airlane_handover::message::{Begin, Commit, Committed, Hello, HelloOk, Open, Segment, Table};
use airlane_handover::packets::Packets;
use airlane_handover::{Channel, Message, Received, VERSION};
use airlane_local::{CALLS, LocalDoor, LocalOptions, Tokens};
use airlane_model::{ByteSize, SystemChance};
use airlane_segment::{Cut, Home, MemoryBudget, SealedMemfds, Sealing, TableSchema, TableWriter, Trust, WriterOptions};
use airlane_store::{Store, StoreOptions};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use tokio_util::sync::CancellationToken;

/// What would hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) exchange: Exchange,
    pub(crate) door: LocalDoor,
    pub(crate) drain: Drain,
    pub(crate) stopping: CancellationToken,
    pub(crate) tokens: Tokens,
}

pub(crate) fn server() -> Server {
    server_with(StoreOptions::new(None), LocalOptions::default())
}

pub(crate) fn server_with(store: StoreOptions, options: LocalOptions) -> Server {
    let exchange = Exchange::open(Store::open(store).expect("a store").0).expect("keys");
    let drain = Drain::default();
    let gate = CallGate::new(Gate::open(), drain.clone(), None, &CALLS);
    let tokens = Tokens::new(Arc::new(SystemChance));
    let door = LocalDoor::new(exchange.clone(), gate, options, tokens.clone(), &SystemChance).expect("a door");
    Server { exchange, door, drain, stopping: CancellationToken::new(), tokens }
}

impl Server {
    /// A connection whose client has said nothing yet.
    pub(crate) fn connect(&self) -> Client {
        let (client, server) = Packets::pair().expect("a pair");
        let own = Shown::Uid(rustix::process::geteuid().as_raw());
        self.serve(Channel::Packets(server), own);
        Client { channel: Channel::Packets(client), request: 0 }
    }

    pub(crate) fn serve(&self, channel: Channel, shown: Shown) {
        let (door, stopping) = (self.door.clone(), self.stopping.clone());
        tokio::spawn(async move { door.serve(channel, Peer::Unix, shown, stopping.cancelled()).await });
    }

    /// A client that was let in.
    pub(crate) async fn client(&self) -> Client {
        let mut client = self.connect();
        client.hello(&Hello { version: VERSION, ..Hello::default() }).await;
        client
    }
}

pub(crate) struct Client {
    pub(crate) channel: Channel,
    pub(crate) request: u64,
}

impl Client {
    pub(crate) async fn hello(&mut self, hello: &Hello) -> HelloOk {
        match self.ask(hello.clone()).await {
            Message::HelloOk(ok) => ok,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, message: impl Into<Message>, descriptors: &[BorrowedFd<'_>]) {
        self.request += 1;
        let frame = Frame { request: self.request, has_more: false, message: message.into() };
        self.channel.send_part(&frame, descriptors).await.expect("sent");
    }

    pub(crate) async fn receive(&mut self) -> Option<Received> {
        let received = tokio::time::timeout(PATIENCE, self.channel.receive()).await.expect("an answer");
        received.ok().flatten()
    }

    /// The answer to a message.
    pub(crate) async fn ask(&mut self, message: impl Into<Message>) -> Message {
        self.send(message, &[]).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Message {
        let received = self.receive().await.expect("an answer, and no end");
        assert_eq!(received.request, self.request);
        received.message
    }

    /// The code of the error that a message is answered.
    pub(crate) async fn refusal(&mut self, message: impl Into<Message>) -> String {
        match self.ask(message).await {
            Message::Failure(failure) => failure.code,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn begin(&mut self, begin: Begin) -> u64 {
        match self.ask(begin).await {
            Message::BeginOk(ok) => ok.put,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn segment(&mut self, put: u64, sequence: u64, segment: &airlane_segment::Segment) -> Message {
        let memfd = memfd(segment);
        let (bytes, rows) = (segment.file_bytes().len() as u64, segment.rows());
        self.send(Segment { put, sequence, bytes, rows, file: String::new() }, &[memfd.as_fd()]).await;
        self.answer().await
    }

    pub(crate) async fn put(&mut self, begin: Begin, segments: &[airlane_segment::Segment]) -> Committed {
        let put = self.begin(begin).await;
        for (sequence, segment) in (0..).zip(segments) {
            let answer = self.segment(put, sequence, segment).await;
            assert!(matches!(answer, Message::SegmentOk(ref ok) if ok.validated), "{answer:?}");
        }
        match self.ask(Commit { put, segments: segments.len() as u64 }).await {
            Message::Committed(committed) => committed,
            other => panic!("{other:?}"),
        }
    }

    /// What a ticket opens, and the descriptors.
    pub(crate) async fn open(&mut self, ticket: &str) -> (Table, Vec<OwnedFd>) {
        self.send(Open { ticket: ticket.to_owned() }, &[]).await;
        let (mut whole, mut all) = (None::<Table>, Vec::new());
        loop {
            let received = self.receive().await.expect("an answer, and no end");
            let Message::Table(table) = received.message else { panic!("{:?}", received.message) };
            all.extend(received.descriptors);
            match &mut whole {
                None => whole = Some(table),
                Some(whole) => {
                    assert_eq!(whole.lease, table.lease);
                    whole.homes.extend(table.homes);
                    whole.segments.extend(table.segments);
                }
            }
            if !received.has_more {
                return (whole.expect("a table"), all);
            }
        }
    }
}

pub(crate) fn named(table: &str) -> Begin {
    Begin { table: table.to_owned(), ..Begin::default() }
}

pub(crate) fn batch(keys: std::ops::Range<i64>) -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(keys.clone().map(|key| format!("row {key}"))));
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
    RecordBatch::try_from_iter([("key", keys), ("text", texts)]).expect("a batch")
}

/// Segments of so many rows each, in memfds.
pub(crate) fn segments(count: i64, rows: i64) -> Vec<airlane_segment::Segment> {
    let schema = TableSchema::from_arrow(&batch(0..1).schema()).expect("a schema");
    let options = WriterOptions { segment_small_bytes_max: ByteSize::bytes(0), ..WriterOptions::default() };
    let mut writer = TableWriter::new(schema, options, Box::new(SealedMemfds::new(MemoryBudget::unlimited())));
    let mut all = Vec::new();
    for number in 0..count {
        writer.append(&batch(number * rows..(number + 1) * rows)).expect("laid out");
        all.extend(writer.take_sealed(Cut::Now).expect("sealed"));
    }
    all
}

pub(crate) fn memfd(segment: &airlane_segment::Segment) -> OwnedFd {
    segment.lend_memfd().expect("lent").expect("a memfd").try_clone_to_owned().expect("a copy")
}

/// The batches behind descriptors.
pub(crate) fn map(table: &Table, descriptors: Vec<OwnedFd>) -> Vec<RecordBatch> {
    assert_eq!(table.homes.len(), descriptors.len());
    let budget = MemoryBudget::unlimited();
    let homes: Vec<Home> = (table.homes.iter().zip(descriptors))
        .map(|(home, fd)| Home::adopt(fd, home.bytes, Sealing::Future, &budget).expect("sealed"))
        .collect();
    let batches = table.segments.iter().flat_map(|segment| {
        let home = homes[segment.home as usize].part(segment.offset, segment.bytes).expect("inside");
        let opened = airlane_segment::Segment::open(home, Trust::Validated).expect("whole");
        assert_eq!(opened.rows(), segment.rows);
        (0..opened.batch_count()).map(|index| opened.batch(index).expect("a batch")).collect::<Vec<_>>()
    });
    batches.collect()
}

pub(crate) fn rows(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}
