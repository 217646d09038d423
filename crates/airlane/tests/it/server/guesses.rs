//! S1: what guessing signed tickets gets, at the door.

use arrow_flight::{Action, Ticket};
use futures::TryStreamExt;
use tonic::Code;

use super::harness::*;
use super::rights::*;
use super::tables::*;

const RIGHTS: &str = "[rights.reader]\neu = [\"read\"]\n[rights.operator]\n\"*\" = [\"admin\"]\n";
/// What a window has room for, and some more.
const GUESSES: usize = 40;

async fn signed(client: &mut Client, body: &str) -> String {
    let asked = Action { r#type: "ticket".into(), body: body.as_bytes().to_vec().into() };
    let answer = client.do_action(with(Some(&token_of("reader")), asked)).await.expect("signed").into_inner();
    let results: Vec<arrow_flight::Result> = answer.try_collect().await.expect("signed");
    let signed: serde_json::Value = serde_json::from_slice(&results[0].body).expect("JSON");
    signed["ticket"].as_str().expect("a ticket").to_owned()
}

/// What the tickets that were refused are counted as.
async fn counted(server: &TestServer, answer: &str) -> u64 {
    let headers = format!("authorization: Bearer {}\r\n", token_of("operator"));
    let (_, text) = fetch_at(&server.address(), "/metrics", &headers).await;
    let line = format!("airlane_tickets_refused_total{{answer=\"{answer}\"}} ");
    let value = text.lines().find_map(|it| it.strip_prefix(&line));
    value.expect("the metric").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_guesses_are_throttled_and_good_tickets_are_not() {
    let server = guarded(&["reader", "operator", "identity", "gzip", "zstd"], RIGHTS).await;
    server.put_here("eu/t", &[numbers(0, 10)]).await;
    // Each encoding is a caller of its own here, since the minute is not over.
    for (guesser, mut client) in server.clients().await {
        let before = (counted(&server, "refused").await, counted(&server, "throttled").await);
        let open = signed(&mut client, "{\"ticket\":\"eu/t\"}").await;
        let bound = signed(&mut client, "{\"ticket\":\"eu/t\",\"caller\":\"reader\"}").await;
        let get = async |client: &mut Client, who: &str, ticket: String| {
            let stream = client.do_get(with(Some(&token_of(who)), Ticket::new(ticket))).await?.into_inner();
            decode(stream).await
        };
        let absent = get(&mut client, guesser, "~00000000.e30.AAAA".into()).await.expect_err("absent");
        let others = get(&mut client, guesser, bound.clone()).await.expect_err("another's");
        assert_eq!((others.code(), others.message()), (absent.code(), absent.message()), "they look alike");

        let mut codes = Vec::new();
        for guess in 0..GUESSES {
            let status = get(&mut client, guesser, format!("{open}{guess}")).await.expect_err("a guess");
            codes.push((status.code(), code_name(&status).to_owned(), status.message().contains("try again in")));
        }
        let throttled = (Code::ResourceExhausted, "tickets_throttled".to_owned(), true);
        assert_eq!(codes.last(), Some(&throttled));
        let status = get(&mut client, guesser, bound.clone()).await.expect_err("another's");
        assert_eq!(code_name(&status), "tickets_throttled", "they look alike still");
        // Neither the holder at the same address nor a good ticket of the guesser's own waits.
        get(&mut client, "reader", bound).await.expect("read");
        get(&mut client, guesser, open).await.expect("read");
        let status = get(&mut client, "reader", "~x".into()).await.expect_err("a guess of somebody else");
        assert_eq!(code_name(&status), "ticket_refused");
        assert!(counted(&server, "throttled").await > before.1);
        assert!(counted(&server, "refused").await > before.0);
    }
}
