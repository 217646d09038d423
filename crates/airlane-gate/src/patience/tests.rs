use super::*;

const PATIENCE: Patience = Patience {
    in_message: Duration::from_secs(30),
    between_messages: Duration::from_secs(600),
    slow: Duration::from_secs(60),
    bytes_per_second_min: 1_000,
};

/// A chunk that comes after some time; none for ever.
async fn chunk(after_seconds: u64, bytes: usize) -> Result<Option<Vec<u8>>> {
    tokio::time::sleep(Duration::from_secs(after_seconds)).await;
    Ok(Some(vec![0; bytes]))
}

/// The seconds until a writer is given up that sends so many bytes every so many seconds within one message.
async fn given_up(bytes: usize, every_seconds: u64) -> Option<u64> {
    let begun = Instant::now();
    let mut pace = Pace::new(PATIENCE);
    pace.next(false, chunk(0, bytes)).await.expect("a beginning");
    for _ in 0..200 {
        if let Err(error) = pace.next(true, chunk(every_seconds, bytes)).await {
            assert_eq!(error.code(), codes::REQUEST_STALLED);
            return Some(begun.elapsed().as_secs());
        }
    }
    None
}

#[tokio::test(start_paused = true)]
async fn g9_a_message_that_trickles_is_given_up() {
    assert_eq!(given_up(1, 10).await, Some(70), "a byte every ten seconds");
    assert_eq!(given_up(1, 29).await, Some(87));
    assert_eq!(given_up(1 << 20, 31).await, Some(30), "nothing for half a minute");
    assert_eq!(given_up(9_000, 10).await, Some(100), "less than is asked for");
    assert_eq!(given_up(11_000, 10).await, None, "a slow network");
    assert_eq!(given_up(1 << 20, 29).await, None, "large pieces now and then");
}

#[tokio::test(start_paused = true)]
async fn g9_a_writer_may_think_between_messages() {
    let mut pace = Pace::new(PATIENCE);
    for _ in 0..20 {
        pace.next(false, chunk(599, 1)).await.expect("a small message");
        pace.next(true, chunk(29, 1)).await.expect("its rest");
        pace.next(true, chunk(29, 1)).await.expect("its rest");
    }
    let error = pace.next(false, chunk(601, 1)).await.expect_err("gone");
    assert!(error.message().contains("within 600s"), "{error}");
}

/// What the server does between two pieces is its own time.
#[tokio::test(start_paused = true)]
async fn waiting_for_room_is_not_counted() {
    let mut pace = Pace::new(PATIENCE);
    pace.next(false, chunk(0, 1)).await.expect("a beginning");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(100)).await;
        pace.next(true, chunk(1, 1)).await.expect("as fast as it was taken");
    }
}
