use std::convert::Infallible;
use std::future::{pending, poll_fn};

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::{BodyExt, StreamBody};
use tokio::time::advance;

use super::*;

const MIB: usize = 1 << 20;

fn readers() -> Readers {
    Readers::new(ReaderPatience::default())
}

/// An account by which a client was given something and has taken nothing.
fn owing(bytes: usize) -> Arc<Account> {
    let account = Arc::<Account>::default();
    account.give(bytes as u64);
    account
}

/// How long a reader is borne that takes so much at each interval, within an hour.
async fn borne(readers: &Readers, account: Arc<Account>, bytes: u64, each: Duration) -> Option<Duration> {
    let begun = Instant::now();
    let taking = async {
        loop {
            sleep(each).await;
            account.take(bytes);
        }
    };
    tokio::select! {
        ended = readers.watch(account.clone(), pending::<()>()) => {
            assert_eq!(ended, None);
            Some(begun.elapsed())
        }
        () = taking => unreachable!("it takes on"),
        () = sleep(Duration::from_secs(3_600)) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn g6_a_reader_that_takes_nothing_is_borne_for_ten_minutes_and_half_a_minute_when_it_matters() {
    let readers = readers();
    let minute = Duration::from_secs(60);
    let calm = borne(&readers, owing(MIB), 0, minute).await.expect("ended");
    assert!((10 * minute..=10 * minute + readers.interval()).contains(&calm), "{calm:?}");
    readers.press(true);
    let pressed = borne(&readers, owing(MIB), 0, minute).await.expect("ended");
    assert!((minute / 2..=minute / 2 + readers.interval()).contains(&pressed), "{pressed:?}");
    readers.press(false);
    let calm = borne(&readers, owing(MIB), 0, minute).await.expect("ended");
    assert!(calm >= 10 * minute, "{calm:?}");
}

#[tokio::test(start_paused = true)]
async fn g6_a_notebook_that_is_paused_for_less_is_not_ended() {
    let readers = readers();
    let pause = Duration::from_secs(9 * 60 + 50);
    assert_eq!(borne(&readers, owing(100 * MIB), 64 << 10, pause).await, None);
    // Nor is one that has all it was given, and waits for a disk or for rows to come.
    assert_eq!(borne(&readers, Arc::default(), 0, pause).await, None);
}

#[tokio::test(start_paused = true)]
async fn g6_a_byte_now_and_then_is_no_progress() {
    let readers = readers();
    assert!(borne(&readers, owing(MIB), 1, Duration::from_secs(1)).await.is_some());
    readers.press(true);
    assert_eq!(borne(&readers, owing(100 * MIB), 16 << 10, Duration::from_secs(20)).await, None);
}

#[tokio::test(start_paused = true)]
async fn g6_who_begins_to_be_short_of_memory_waits_no_longer_for_who_has_stopped() {
    let readers = readers();
    let watching = readers.clone();
    let watched = tokio::spawn(async move { watching.watch(owing(MIB), pending::<()>()).await });
    sleep(Duration::from_secs(300)).await;
    assert!(!watched.is_finished());
    let begun = Instant::now();
    readers.press(true);
    assert_eq!(watched.await.expect("no panic"), None);
    assert!(begun.elapsed() <= readers.interval(), "{:?}", begun.elapsed());
}

fn body(frames: Vec<Frame<Rope>>) -> impl Body<Data = Rope, Error = Infallible> + Unpin {
    StreamBody::new(futures::stream::iter(frames.into_iter().map(Ok)))
}

/// A delivered body, counted in this account.
fn delivered<B>(account: &Arc<Account>, body: B) -> Delivered<B> {
    ACCOUNT.sync_scope(account.clone(), || Delivered::new(body, None))
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_until_nearly_all_is_taken() {
    let account = Arc::<Account>::default();
    let rope = Rope::new(Bytes::from_static(b"head"), Bytes::from(vec![0; MIB]));
    let frames = vec![Frame::data(rope), Frame::trailers(http::HeaderMap::new())];
    let mut body = delivered(&account, body(frames));
    let mut parcel = body.frame().await.expect("a frame").expect("data").into_data().expect("data");
    assert_eq!(account.owed(), (4 + MIB) as u64);
    assert!(body.frame().now_or_never().is_none() && !body.is_end_stream(), "the end waits");
    let ending = tokio::spawn(async move { body.frame().await.expect("a frame").expect("trailers").is_trailers() });
    tokio::task::yield_now().await;
    parcel.advance(4 + MIB - UNWATCHED_BYTES_MAX as usize - 1);
    advance(Duration::from_secs(1)).await;
    assert!(!ending.is_finished());
    assert_eq!(parcel.copy_to_bytes(1).len(), 1);
    assert!(ending.await.expect("woken"));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_small_answer_goes_with_it() {
    let account = Arc::<Account>::default();
    let rope = Rope::from(Bytes::from(vec![0; UNWATCHED_BYTES_MAX as usize]));
    let frames = vec![Frame::data(rope), Frame::trailers(http::HeaderMap::new())];
    let mut body = delivered(&account, body(frames));
    let _parcel = body.frame().await.expect("a frame").expect("data");
    assert!(body.frame().now_or_never().expect("at once").expect("a frame").expect("trailers").is_trailers());
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_holds_is_dropped_with_it() {
    let held = Arc::new(());
    let mine = held.clone();
    let answering = async move {
        let _mine = mine;
        poll_fn(|_| Poll::<()>::Pending).await;
    };
    assert_eq!(Arc::strong_count(&held), 2);
    assert_eq!(readers().watch(owing(1), answering).await, None);
    assert_eq!(Arc::strong_count(&held), 1);
}
