//! Commits: one transaction for all that waits, then everybody sees it, then everybody is answered.
//!
//! ```text
//! durable     requests ──channel──▶ committer: plan ─▶ catalog.commit (one fsync) ─▶ publish ─▶ answers ─▶ sweeper
//! ephemeral   the same on the caller's thread, one request at a time, over the catalog in memory
//! ```
//!
//! The committer begins at once when it is idle; what arrives while it waits for the disk shares the next transaction.
//! Where requests come together and more wait already, the next batch gathers for a millisecond: a sync and a transaction
//! for each few would cost all of them more.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::Duration;

use airlane_model::{
    Durability, Error, Receipt, Result, RetentionChange, SegmentId, TableId, TableInfo, TableName, codes,
};
use tokio::sync::oneshot;

use crate::catalog::{CommitError, Place};
use crate::counts::CountRequest;
use crate::failpoint::failpoint;
use crate::frames::Forgotten;
use crate::plan::{Context, Plan, PlannedPut};
use crate::request::{MergeRequest, PutRequest, Written};
use crate::shared::Shared;
use crate::slot::SharedCatalog;
use crate::staging::Staging;

/// Requests that share a transaction, at most.
const BATCH_MAX: usize = 64;

/// Bytes of small segments in a transaction from which on no further request joins it.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// How long a batch gathers when requests wait already, after one that held several.
const GATHER: Duration = Duration::from_millis(1);

pub(crate) type Reply<T> = oneshot::Sender<Result<T>>;

/// A change of the store's content that waits for its commit.
#[derive(Debug)]
pub(crate) enum Job {
    /// Make a put visible.
    Put(Box<PutRequest>, Option<Arc<Staging>>, Reply<Receipt>),
    /// Drop the table of this name and id.
    Drop(TableName, TableId, Reply<TableInfo>),
    /// Drop the table of this name and id if it has expired, or its rows that have; answers whether there were any.
    Expire(TableName, TableId, Reply<bool>),
    /// Change how long a table is kept.
    Retain(TableName, RetentionChange, Reply<TableInfo>),
    /// Keep that a read is used; the last read of a table ends it. Whoever asks blocks a thread.
    Count(CountRequest, Sender<Result<()>>),
    /// Keep how long the store has been open.
    SaveUptime(Reply<()>),
    /// Swap segments for fewer ones; answers whether they were still there.
    Merge(Box<MergeRequest>, Option<Arc<Staging>>, Reply<bool>),
    /// End the committer.
    Stop,
}

impl Job {
    /// What the catalog is to keep beside the facts.
    fn body_bytes(&self) -> usize {
        let segments = match self {
            Self::Put(request, ..) => &request.segments,
            Self::Merge(request, ..) => &request.new,
            Self::Drop(..) | Self::Expire(..) | Self::Retain(..) => return 0,
            Self::Count(..) | Self::SaveUptime(_) | Self::Stop => return 0,
        };
        segments.iter().filter_map(|segment| segment.new.body.as_ref()).map(bytes::Bytes::len).sum()
    }
}

/// A planned request that waits for the outcome.
enum Answer {
    Put(Receipt, Kept, Reply<Receipt>),
    /// The receipt of another put of this plan, which this one repeats.
    Again(Receipt, Kept, Reply<Receipt>),
    Drop(Box<TableInfo>, Reply<TableInfo>),
    Expire(Reply<bool>),
    Retain(Box<TableInfo>, Reply<TableInfo>),
    Count(CountRequest, Sender<Result<()>>),
    SaveUptime(Reply<()>),
    Merge(bool, Kept, Reply<bool>),
}

/// The files of a request, which the catalog takes over.
struct Kept {
    files: Vec<SegmentId>,
    staging: Option<Arc<Staging>>,
}

impl Kept {
    fn new(segments: &[Written], staging: Option<Arc<Staging>>) -> Self {
        let files = segments.iter().filter(|segment| segment.new.facts.place == Place::File);
        Self { files: files.map(|segment| segment.new.facts.id).collect(), staging }
    }

    fn hand_over(&self) {
        if let Some(staging) = &self.staging {
            staging.hand_over(self.files.iter().copied());
        }
    }
}

/// Takes requests until it is told to stop, or its store is gone.
pub(crate) fn run_committer(shared: &Shared, catalog: &SharedCatalog, jobs: &Receiver<Job>) {
    let mut is_busy = false;
    loop {
        let first = match jobs.try_recv() {
            Ok(job) => {
                if is_busy {
                    thread::sleep(GATHER);
                }
                job
            }
            // Whoever comes to an idle committer is served at once.
            Err(_) => match jobs.recv() {
                Ok(job) => job,
                Err(_) => return,
            },
        };
        let mut bytes = first.body_bytes();
        let mut stop = matches!(first, Job::Stop);
        let mut batch = vec![first];
        while !stop && batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
            let Ok(job) = jobs.try_recv() else { break };
            bytes += job.body_bytes();
            stop = matches!(job, Job::Stop);
            batch.push(job);
        }
        is_busy = batch.len() > 1;
        run_batch(shared, catalog, Durability::Durable, batch);
        tidy(shared, catalog);
        if stop {
            return;
        }
    }
}

/// Does what the next commit would wait for, now that all are answered.
fn tidy(shared: &Shared, catalog: &SharedCatalog) {
    let outcome = catalog.lock().as_mut().map_or(Ok(()), |catalog| catalog.tidy());
    if let Err(error) = outcome {
        tracing::error!(?error, "the catalog could not be tidied; the store takes no more puts");
        shared.poison(error.to_string());
    }
}

/// Plans, commits, publishes and answers a batch.
pub(crate) fn run_batch(shared: &Shared, catalog: &SharedCatalog, durability: Durability, jobs: Vec<Job>) {
    let context = Context {
        shared,
        index: &shared.index,
        chance: shared.chance.as_ref(),
        origin: shared.origin.as_ref().filter(|_| durability == Durability::Durable),
        now: shared.uptime.moment(),
        retention: &shared.retention,
        deadlines: &shared.deadlines,
        counts: &shared.counts,
        durability,
    };
    let mut plan = Plan::new(context);
    let answers: Vec<Answer> = jobs.into_iter().filter_map(|job| take(shared, &mut plan, job)).collect();
    plan.forget_keys();
    if plan.changes().is_empty() {
        // Reads may have ended that were used before.
        plan.publish();
        answers.into_iter().for_each(|answer| succeed(shared, answer));
        return;
    }
    let outcome = plan.pin().map_err(CommitError::RolledBack).and_then(|()| {
        failpoint!("p7.before");
        let mut catalog = catalog.lock();
        let catalog = catalog.as_mut().ok_or_else(|| CommitError::RolledBack(shared.closed()))?;
        catalog.commit(plan.changes())
    });
    match outcome {
        Ok(()) => {
            failpoint!("p9.before");
            finish(shared, catalog, plan, answers);
        }
        Err(CommitError::RolledBack(error)) => {
            tracing::error!(?error, "a commit failed; nothing of it was kept");
            // First, so that who is answered finds the names free again.
            drop(plan);
            answers.into_iter().for_each(|answer| fail(answer, &error));
        }
        Err(CommitError::Unknown(error)) => {
            tracing::error!(?error, "the outcome of a commit is unknown; the store takes no more puts");
            let unknown = commit_unknown(&error);
            // First, so that who is answered finds the store refusing.
            shared.poison(error.to_string());
            drop(plan);
            for answer in answers {
                if let Answer::Put(_, kept, _) | Answer::Merge(_, kept, _) = &answer {
                    kept.hand_over();
                }
                fail(answer, &unknown);
            }
        }
    }
}

/// Plans one request; a refused one is answered at once.
fn take(shared: &Shared, plan: &mut Plan<'_>, job: Job) -> Option<Answer> {
    if !matches!(job, Job::Stop)
        && let Err(error) = shared.check_health()
    {
        refuse(job, error);
        return None;
    }
    match job {
        Job::Put(request, staging, reply) => {
            let kept = Kept::new(&request.segments, staging);
            match plan.put(*request) {
                Ok(PlannedPut::New(receipt)) => return Some(Answer::Put(receipt, kept, reply)),
                Ok(PlannedPut::Again(receipt)) => return Some(Answer::Again(receipt, kept, reply)),
                Ok(PlannedPut::Done(receipt)) => give_up(kept, reply, Ok(receipt)),
                Err(error) => give_up(kept, reply, Err(error)),
            }
        }
        Job::Drop(table, id, reply) => {
            failpoint!("drop.before");
            match plan.drop_table(&table, id) {
                Ok(info) => return Some(Answer::Drop(Box::new(info), reply)),
                Err(error) => send(reply, Err(error)),
            }
        }
        Job::Expire(table, id, reply) => {
            if plan.expire(&table, id) {
                return Some(Answer::Expire(reply));
            }
            send(reply, Ok(false));
        }
        Job::Retain(table, change, reply) => match plan.set_retention(&table, change) {
            Ok(info) => return Some(Answer::Retain(Box::new(info), reply)),
            Err(error) => send(reply, Err(error)),
        },
        Job::Count(request, reply) => {
            plan.count(&request);
            return Some(Answer::Count(request, reply));
        }
        Job::SaveUptime(reply) => {
            plan.save_uptime();
            return Some(Answer::SaveUptime(reply));
        }
        Job::Merge(request, staging, reply) => {
            let kept = Kept::new(&request.new, staging);
            match plan.merge(*request) {
                Ok(true) => return Some(Answer::Merge(true, kept, reply)),
                outcome => give_up(kept, reply, outcome),
            }
        }
        Job::Stop => {}
    }
    None
}

fn finish(shared: &Shared, catalog: &SharedCatalog, mut plan: Plan<'_>, answers: Vec<Answer>) {
    let (erases, purge) = (plan.erases(), plan.erases_bodies());
    let (expired, rows_gone) = (plan.take_expired(), plan.take_rows_gone());
    let told = plan.take_told();
    let mut sweep = plan.publish();
    failpoint!("p9.after");
    shared.tell(told, &expired, &rows_gone);
    expired.iter().for_each(|(table, id, reason)| shared.expired.note(table, *id, *reason));
    rows_gone.iter().for_each(|gone| shared.expired.note_rows(gone));
    if !erases {
        if sweep.is_small() {
            // Whoever is answered finds none of them; the rest is let go of afterwards.
            sweep.frames = Forgotten::default();
        } else {
            shared.sweeper.sweep(sweep, None);
        }
        answers.into_iter().for_each(|answer| succeed(shared, answer));
        return;
    }
    let (mut dropped, mut ended, mut counted) = (Vec::new(), Vec::new(), Vec::new());
    for answer in answers {
        match answer {
            Answer::Drop(info, reply) => dropped.push((info, reply)),
            Answer::Expire(reply) => ended.push(reply),
            // The last read of a table ends it.
            Answer::Count(request, reply) => counted.push((request, reply)),
            answer => succeed(shared, answer),
        }
    }
    let purged = if purge { catalog.lock().as_mut().map_or(Ok(()), |catalog| catalog.purge()) } else { Ok(()) };
    if let Err(error) = &purged {
        tracing::error!(?error, "the bytes of what has gone could not be removed from the catalog");
        if error.code() != codes::STORAGE_FULL {
            // What the catalog's file holds is not certain any more; its log does, and the next start copies it anew.
            shared.poison(error.to_string());
        }
    }
    failpoint!("drop.purged");
    let answer_drops = move |swept: Result<()>| {
        failpoint!("drop.after");
        let outcome = purged.and(swept);
        for (info, reply) in dropped {
            send(reply, outcome.as_ref().map(|()| *info).map_err(not_erased));
        }
        for reply in ended {
            send(reply, outcome.as_ref().map(|()| true).map_err(not_erased));
        }
        // A read has ended well, whatever becomes of the bytes.
        counted.into_iter().for_each(|(request, reply)| answer_count(request, &reply, Ok(())));
    };
    shared.sweeper.sweep(sweep, Some(Box::new(answer_drops)));
}

fn succeed(shared: &Shared, answer: Answer) {
    match answer {
        Answer::Put(receipt, kept, reply) => {
            kept.hand_over();
            shared.merges.consider(shared, &receipt.table);
            send(reply, Ok(receipt));
        }
        Answer::Again(receipt, kept, reply) => give_up(kept, reply, Ok(receipt)),
        Answer::Merge(merged, kept, reply) => {
            kept.hand_over();
            send(reply, Ok(merged));
        }
        Answer::Drop(info, reply) | Answer::Retain(info, reply) => send(reply, Ok(*info)),
        Answer::Expire(reply) => send(reply, Ok(true)),
        Answer::Count(request, reply) => answer_count(request, &reply, Ok(())),
        Answer::SaveUptime(reply) => send(reply, Ok(())),
    }
}

fn fail(answer: Answer, error: &Error) {
    match answer {
        Answer::Put(_, kept, reply) | Answer::Again(_, kept, reply) => give_up(kept, reply, Err(error.again())),
        Answer::Drop(_, reply) | Answer::Retain(_, reply) => send(reply, Err(error.again())),
        Answer::Expire(reply) => send(reply, Err(error.again())),
        Answer::Count(request, reply) => answer_count(request, &reply, Err(error.again())),
        Answer::SaveUptime(reply) => send(reply, Err(error.again())),
        Answer::Merge(_, kept, reply) => give_up(kept, reply, Err(error.again())),
    }
}

/// Answers a request that is not planned.
pub(crate) fn refuse(job: Job, error: Error) {
    match job {
        Job::Put(_, staging, reply) => give_up(staging, reply, Err(error)),
        Job::Drop(_, _, reply) | Job::Retain(_, _, reply) => send(reply, Err(error)),
        Job::Expire(_, _, reply) => send(reply, Err(error)),
        Job::Count(request, reply) => answer_count(request, &reply, Err(error)),
        Job::SaveUptime(reply) => send(reply, Err(error)),
        Job::Merge(_, staging, reply) => give_up(staging, reply, Err(error)),
        Job::Stop => {}
    }
}

/// Has the files of a request removed, then answers: who is answered finds nothing left.
fn give_up<T>(files: impl Sized, reply: Reply<T>, answer: Result<T>) {
    drop(files);
    send(reply, answer);
}

/// Answers a read. What became of the request is settled first.
fn answer_count(request: CountRequest, reply: &Sender<Result<()>>, answer: Result<()>) {
    drop(request);
    // The thread of the reader may be gone.
    let _ = reply.send(answer);
}

/// Answers somebody who may have gone away meanwhile.
fn send<T>(reply: Reply<T>, answer: Result<T>) {
    let _ = reply.send(answer);
}

fn commit_unknown(error: &Error) -> Error {
    let message = format!("the catalog could not confirm the commit: {}", error.message());
    Error::new(codes::COMMIT_UNKNOWN, message)
        .hint(
        "the server stops; after its restart repeat the put if it had an idempotency key, else look at the table's version \
         first",
    )
}

fn not_erased(error: &Error) -> Error {
    let message = format!("the table is dropped, but its bytes could not be removed yet: {}", error.message());
    Error::new(error.code(), message)
        .at(error.place().unwrap_or("the data folder"))
        .hint("they go with the next drop or put, or at the next start")
}
