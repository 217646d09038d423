//! A connection: a client's messages, one after another, each answered before the next is looked at.
//!
//! A request that fails is answered `ERROR` and the connection goes on; a message that cannot be understood, or that is
//! no client's to send, ends it. What the client has under way ends with it: puts leave nothing behind, reads are given
//! back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use airlane_gate::{Call, Peer, Shown};
use airlane_handover::frame::Frame;
use airlane_handover::message::{
    Abort, Begin, BeginOk, Commit, Failure, GoingAway, HelloOk, Open, Quota, Release, Segment, SegmentOk,
};
use airlane_handover::{Channel, Message, Received, VERSION};
use airlane_model::{Caller, Error, Result, Ticket, codes};
use tokio::time::{Instant, sleep_until, timeout};

use crate::blocking::in_place;
use crate::folder::ConnectionFolder;
use crate::hello::known;
use crate::leases::Leases;
use crate::puts::{Body, Put, Puts, committed, producer, spec_of};
use crate::{Door, HELLO, OPEN, PUT, table};

/// Serves a client until it goes.
///
/// # Errors
/// Why the connection was ended: `message_invalid`, `message_order_invalid`, `limit_exceeded`, `connection_broken`,
/// `request_stalled`; those of a hello.
pub(crate) async fn serve(
    door: &Door,
    number: u64,
    channel: Channel,
    peer: Peer,
    shown: Shown,
    stopping: impl Future<Output = ()>,
) -> Result<()> {
    let mut stopping = pin!(stopping);
    let hello = tokio::select! {
        hello = timeout(door.options.patience, channel.receive()) => hello.map_err(|_| silent())??,
        // Nothing was asked yet.
        () = &mut stopping => return Ok(()),
    };
    let Some(hello) = hello else { return Ok(()) };
    let request = hello.request;
    let begun = Connection::begin(door, number, &channel, peer, &shown, hello);
    let mut connection = match begun {
        Ok((connection, hello_ok)) => {
            connection.line.send(request, hello_ok).await?;
            connection
        }
        Err(error) => {
            // Whether it hears that or not.
            let _ = timeout(door.options.patience, channel.send(request, Failure::from(&error))).await;
            return Err(error);
        }
    };
    let mut is_told = false;
    let mut receiving = pin!(channel.receive());
    loop {
        let lapse = connection.leases.next_lapse();
        tokio::select! {
            received = &mut receiving => {
                let Some(received) = received? else { return Ok(()) };
                connection.answer(received).await?;
                receiving.set(channel.receive());
            }
            () = &mut stopping, if !is_told => {
                is_told = true;
                let seconds = u32::try_from(door.options.grace.as_secs()).unwrap_or(u32::MAX);
                connection.line.send(0, GoingAway { seconds }).await?;
            }
            // Never, where there is no lease.
            () = sleep_until(lapse.unwrap_or_else(Instant::now)), if lapse.is_some() => {
                connection.leases.lapse(Instant::now());
            }
        }
    }
}

/// What answers are sent by.
#[derive(Clone, Copy)]
struct Line<'a> {
    channel: &'a Channel,
    patience: Duration,
}

impl Line<'_> {
    async fn send(self, request: u64, message: impl Into<Message>) -> Result<()> {
        timeout(self.patience, self.channel.send(request, message)).await.map_err(|_| deaf())?
    }

    async fn send_part(self, frame: &Frame, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        timeout(self.patience, self.channel.send_part(frame, descriptors)).await.map_err(|_| deaf())?
    }
}

/// A client that has said hello.
struct Connection<'a> {
    door: &'a Door,
    line: Line<'a>,
    peer: Peer,
    caller: Caller,
    is_trusted: bool,
    puts: Puts,
    leases: Leases,
    folder: Option<Arc<ConnectionFolder>>,
}

impl<'a> Connection<'a> {
    fn begin(
        door: &'a Door,
        number: u64,
        channel: &'a Channel,
        peer: Peer,
        shown: &Shown,
        received: Received,
    ) -> Result<(Self, HelloOk)> {
        let Message::Hello(hello) = received.message else {
            let message = format!("a connection begins with HELLO, and not with {}", received.message.name());
            return Err(Error::new(codes::MESSAGE_ORDER_INVALID, message));
        };
        let mut call = door.gate.begin(HELLO, peer, &Caller::nobody())?;
        let known = known(door, channel, &hello, shown);
        if let Ok((caller, _)) = &known {
            call.is_of(caller);
        }
        call.end(&known);
        let (caller, shown) = known?;
        let is_own_user = shown == Shown::Uid(rustix::process::geteuid().as_raw());
        let is_trusted = hello.trusted && is_own_user && door.options.trusts_own_user;
        let folder = match (channel.passes_descriptors(), &door.options.folder) {
            (true, _) => None,
            (false, Some(folder)) => Some(Arc::new(ConnectionFolder::make(folder, number)?)),
            (false, None) => {
                return Err(Error::new(codes::NOT_IMPLEMENTED, "this server has no folder to pass files in"));
            }
        };
        tracing::debug!(connection = number, caller = caller.name(), client = %hello.client.escape_debug(), "hello");
        let hello_ok = HelloOk {
            version: hello.version.min(VERSION),
            connection: number,
            server: concat!("airlane ", env!("CARGO_PKG_VERSION")).to_owned(),
            boot_id: door.boot_id.to_vec(),
            caller: caller.name().to_owned(),
            trusted: is_trusted,
            lease_seconds: u32::try_from(door.options.lease.as_secs()).unwrap_or(u32::MAX),
            leased_bytes_max: door.book.bytes_max(),
            folder: folder.as_ref().map(|folder| folder.path().display().to_string()).unwrap_or_default(),
            url: door.options.url.clone(),
        };
        let (puts, leases) = (Puts::default(), Leases::default());
        Ok((
            Self {
                door,
                line: Line { channel, patience: door.options.patience },
                peer,
                caller,
                is_trusted,
                puts,
                leases,
                folder,
            },
            hello_ok,
        ))
    }

    /// Does what a message asks for, and answers it.
    async fn answer(&mut self, received: Received) -> Result<()> {
        let Received { request, message, mut descriptors, .. } = received;
        let takes = if matches!(message, Message::Segment(_)) { 1 } else { 0 };
        if descriptors.len() > takes {
            let (name, count) = (message.name(), descriptors.len());
            let message = format!("{count} descriptors came with {name}, and the most is {takes}");
            return Err(Error::new(codes::MESSAGE_INVALID, message));
        }
        let answered: Result<Option<Message>> = match message {
            Message::Begin(begin) => self.begin_put(&begin).map(|answer| Some(answer.into())),
            Message::Segment(segment) => {
                self.take(request, &segment, descriptors.pop()).await.map(|answer| Some(answer.into()))
            }
            Message::Commit(commit) => self.commit(request, commit).await.map(|()| None),
            Message::Abort(Abort { put }) => {
                // One that has failed is gone already.
                drop(self.puts.remove(put));
                Ok(None)
            }
            Message::Open(open) => self.open(request, &open).await.map(|()| None),
            Message::Release(release) => self.release(&release).await.map(|()| None),
            Message::Renew(renew) => {
                self.leases.renew(&renew.leases, self.door.options.lease);
                Ok(None)
            }
            Message::Quota(_) => Ok(Some(self.quota(false).into())),
            Message::Failure(failure) => {
                tracing::debug!(code = %failure.code.escape_debug(), "a local client tells of an error");
                Ok(None)
            }
            other @ (Message::Hello(_)
            | Message::HelloOk(_)
            | Message::BeginOk(_)
            | Message::SegmentOk(_)
            | Message::Committed(_)
            | Message::Table(_)
            | Message::GoingAway(_)) => {
                let message = format!("a client does not send {} here", other.name());
                return Err(Error::new(codes::MESSAGE_ORDER_INVALID, message));
            }
        };
        match answered {
            Ok(None) => Ok(()),
            Ok(Some(answer)) => self.line.send(request, answer).await,
            // The client is not there to hear it.
            Err(error) if error.code() == codes::CONNECTION_BROKEN => Err(error),
            Err(error) => self.line.send(request, Failure::from(&error)).await,
        }
    }

    fn begin_put(&mut self, begin: &Begin) -> Result<BeginOk> {
        self.puts.check_room()?;
        let call = self.door.gate.begin(PUT, self.peer, &self.caller)?;
        let begun = spec_of(begin, &self.caller, self.door.exchange.chance())
            .and_then(|spec| self.door.exchange.hand_in(call.caller(), spec, producer(self.is_trusted)));
        match begun {
            Ok(hand_in) => {
                let table = hand_in.table().to_string();
                let bytes_admitted = self.door.exchange.memory_free().as_u64();
                Ok(BeginOk { put: self.puts.add(hand_in, call), table, bytes_admitted })
            }
            Err(error) => {
                call.fail(&error);
                Err(error)
            }
        }
    }

    async fn take(&mut self, request: u64, segment: &Segment, memfd: Option<OwnedFd>) -> Result<SegmentOk> {
        // Out of the list meanwhile: one that fails does not come back.
        let mut put = self.puts.remove(segment.put)?;
        let taken = match self.prepare(request, &mut put, segment, memfd).await {
            Err(error) => Err((put, error)),
            Ok(body) => {
                let announced = segment.clone();
                let is_quick = put.is_quick(&announced, &body);
                let take = move || {
                    let taken = put.take(&announced, body);
                    (put, taken)
                };
                let (put, taken) = if is_quick { take() } else { in_place(take).await? };
                match taken {
                    Ok(()) => Ok(put),
                    Err(error) => Err((put, error)),
                }
            }
        };
        match taken {
            Ok(put) => {
                self.puts.put_back(segment.put, put);
                Ok(SegmentOk { put: segment.put, sequence: segment.sequence, validated: !self.is_trusted })
            }
            Err((put, error)) => {
                put.call.fail(&error);
                Err(error)
            }
        }
    }

    /// What comes with a segment, and the memory for it.
    async fn prepare(
        &mut self,
        request: u64,
        put: &mut Put,
        segment: &Segment,
        memfd: Option<OwnedFd>,
    ) -> Result<Body> {
        put.check_next(segment)?;
        let body = match (memfd, &self.folder) {
            (Some(memfd), _) => {
                put.hand_in.judge(memfd.as_fd(), segment.bytes)?;
                Body::Memfd(memfd)
            }
            (None, Some(folder)) => {
                let file = folder.take(&segment.file)?;
                put.hand_in.judge_file(&file, segment.bytes)?;
                Body::File(file)
            }
            (None, None) => {
                let error = Error::new(codes::SEGMENT_REFUSED, "no descriptor came with the segment");
                return Err(error.hint("pass its memfd with SCM_RIGHTS"));
            }
        };
        let (line, short) = (self.line, self.quota(true));
        let mut room = pin!(put.hand_in.room(segment.bytes));
        tokio::select! {
            biased;
            room = &mut room => room?,
            () = std::future::ready(()) => {
                // The client may want to know why it has to wait.
                line.send(request, short).await?;
                room.await?;
            }
        }
        Ok(body)
    }

    async fn commit(&mut self, request: u64, commit: Commit) -> Result<()> {
        let Put { hand_in, call, .. } = {
            let put = self.puts.remove(commit.put)?;
            if let Err(error) = put.check_complete(&commit) {
                put.call.fail(&error);
                return Err(error);
            }
            put
        };
        let receipt = hand_in.commit().await;
        call.end(&receipt);
        let parts = committed(receipt?)?;
        let last = parts.len() - 1;
        for (number, part) in parts.into_iter().enumerate() {
            let frame = Frame { request, has_more: number < last, message: part.into() };
            self.line.send_part(&frame, &[]).await?;
        }
        Ok(())
    }

    async fn open(&mut self, request: u64, open: &Open) -> Result<()> {
        let call = self.door.gate.begin(OPEN, self.peer, &self.caller)?;
        let (call, opened) = self.hand_out(request, open, call).await?;
        call.end(&opened);
        opened
    }

    async fn hand_out(&mut self, request: u64, open: &Open, mut call: Call) -> Result<(Call, Result<()>)> {
        let ticket: Ticket = match open.ticket.parse() {
            Ok(ticket) => ticket,
            Err(error) => return Ok((call, Err(error))),
        };
        let (folder, next) = (self.folder.clone(), self.leases.next());
        let opening = match self.door.exchange.begin_hand_out(call.caller(), &ticket) {
            Ok(opening) => opening,
            Err(error) => return Ok((call, Err(error))),
        };
        let is_quick = folder.is_none() && opening.is_quick();
        let finish = move || {
            let out = opening.finish()?;
            let files = folder.map(|folder| folder.give(next, &out)).transpose()?;
            Ok((out, files))
        };
        let out = if is_quick { finish() } else { in_place(finish).await? };
        let (out, files) = match out {
            Ok(out) => out,
            Err(error) => return Ok((call, Err(error))),
        };
        let (book, lasts) = (&self.door.book, self.door.options.lease);
        let (lease, out) = match self.leases.add(book, &self.caller, out, lasts) {
            Ok(added) => added,
            Err(error) => {
                self.folder.iter().for_each(|folder| folder.forget(next));
                return Ok((call, Err(error)));
            }
        };
        call.sent(out.pieces().iter().map(|piece| piece.bytes).sum());
        call.trail().add_rows(out.rows().rows());
        for (frame, descriptors) in table::answer(request, lease, out, files.as_deref()) {
            self.line.send_part(&frame, &descriptors).await?;
        }
        // The client has its own.
        out.sent();
        Ok((call, Ok(())))
    }

    async fn release(&mut self, release: &Release) -> Result<()> {
        if let Some(folder) = &self.folder {
            release.leases.iter().for_each(|lease| folder.forget(*lease));
        }
        let reads = self.leases.end_reads(&release.ended);
        let released = self.leases.release(&release.leases);
        if reads.is_empty() && released.is_empty() {
            return Ok(());
        }
        // A counted read waits for a commit, and what nobody else has is freed.
        let ending = in_place(move || {
            let mut outcome = Ok(());
            // Each of them, also after one that fails.
            for read in reads {
                outcome = outcome.and(read.end());
            }
            // What was not read to its end is given back.
            drop(released);
            outcome
        });
        ending.await?
    }

    fn quota(&self, is_short: bool) -> Quota {
        let book = &self.door.book;
        Quota { leased_bytes_max: book.bytes_max(), leased_bytes: book.bytes_of(&self.caller), is_short }
    }
}

fn silent() -> Error {
    Error::new(codes::REQUEST_STALLED, "no HELLO came")
}

fn deaf() -> Error {
    Error::new(codes::REQUEST_STALLED, "the client does not take its answers")
}
