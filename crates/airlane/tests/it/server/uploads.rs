//! Uploads in forms, and in parts that can be gone on with.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::harness::*;
use super::rest::{Answer, ask};
use super::rights::*;

const FORM: &str = "content-type: multipart/form-data; boundary=cut\r\n";

fn form(csv: &str) -> String {
    format!(
        "--cut\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nnothing\r\n--cut\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\ncontent-type: text/csv\r\n\r\n{csv}\r\n--cut--\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_sends_a_file_in_a_form() {
    let server = TestServer::start().await;
    let at = server.address();
    let put = ask(&at, "PUT", "/v1/tables/t", FORM, form("a,b\n1,x\n2,y\n").as_bytes()).await;
    assert_eq!((put.status, put.json()["rows"].clone()), (201, 2.into()), "{}", put.text());
    assert_eq!(put.json()["format"], "csv", "as the form says of the file");
    let whole = form("a,b\n1,x\n2,y\n");
    for (what, body) in [
        ("cut off in the file", &whole[..whole.len() - 20]),
        ("cut off before its end", &whole[..whole.len() - 4]),
        ("without a file", "--cut\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n1\r\n--cut--\r\n"),
        ("no form", "a,b\n1,x\n"),
    ] {
        let refused = ask(&at, "PUT", "/v1/tables/u", FORM, body.as_bytes()).await;
        assert_eq!((refused.status, refused.json()["code"].clone()), (400, "message_invalid".into()), "{what}");
        assert_eq!(ask(&at, "GET", "/v1/tables/u", "", b"").await.json()["code"], "table_not_found", "{what}");
    }
    let unbound = ask(&at, "PUT", "/v1/tables/u", "content-type: multipart/form-data\r\n", b"x").await;
    assert_eq!(unbound.json()["code"], "message_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn options_say_how_csv_is_written_and_the_receipt_what_was_inferred() {
    let server = TestServer::start().await;
    let at = server.address();
    let path = "/v1/tables/t?delimiter=;&decimal=,&thousands=.&null=-";
    let put = ask(&at, "PUT", path, "content-type: text/csv\r\n", b"plz;n\n01067;1.234,5\n20095;-\n").await;
    assert_eq!(put.status, 201, "{}", put.text());
    let inferred = &put.json()["inferred"];
    assert_eq!((&inferred["rows"], &inferred["is_whole"]), (&2.into(), &true.into()), "{}", put.text());
    let columns = [("plz", "Utf8", 0), ("n", "Float64", 1)];
    for (column, (name, data_type, nulls)) in inferred["columns"].as_array().expect("columns").iter().zip(columns) {
        assert_eq!(
            (&column["name"], &column["type"], &column["nulls"]),
            (&name.into(), &data_type.into(), &nulls.into())
        );
        assert!(column["why"].as_str().is_some_and(|why| !why.is_empty()));
    }
    let read = ask(&at, "GET", "/v1/tables/t?format=csv", "", b"").await;
    assert_eq!(read.text(), "plz,n\n01067,1234.5\n20095,\n");
    let json = ask(&at, "PUT", "/v1/tables/j", "content-type: application/x-ndjson\r\n", b"{\"a\":1}\n").await;
    assert_eq!(json.json()["inferred"]["columns"][0]["type"], "Int64", "{}", json.text());
    let parquet = ask(&at, "GET", "/v1/tables/t?format=parquet", "", b"").await;
    let put = ask(&at, "PUT", "/v1/tables/p?format=parquet", "", &parquet.body).await;
    assert_eq!((put.status, put.json().get("inferred").is_none()), (201, true), "{}", put.text());
    for (query, what) in [
        ("delimiter=;;", "option `delimiter` of the query"),
        ("header=perhaps", "option `header` of the query"),
        ("decimal=,&thousands=,", "the query of the URL"),
        ("sample=1TiB", "option `sample` of the query"),
        ("sample=much", "option `sample` of the query"),
    ] {
        let refused = ask(&at, "PUT", &format!("/v1/tables/u?{query}"), "", b"a\n1\n").await;
        let told = (refused.status, refused.json()["code"].clone(), refused.json()["place"].clone());
        assert_eq!(told, (400, "option_invalid".into(), what.into()), "{}", refused.text());
    }
}

async fn begin(at: &str, path: &str) -> String {
    let begun = ask(at, "PUT", path, "upload-complete: ?0\r\ncontent-type: text/csv\r\n", b"a\n1\n").await;
    assert_eq!((begun.status, begun.header("upload-offset")), (201, Some("4")), "{}", begun.text());
    begun.header("location").expect("a location").to_owned()
}

async fn part(at: &str, upload: &str, offset: u64, is_last: bool, body: &[u8]) -> Answer {
    let complete = if is_last { "?1" } else { "?0" };
    let headers = format!("upload-offset: {offset}\r\nupload-complete: {complete}\r\n");
    ask(at, "PATCH", upload, &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_where_it_broke() {
    let server = TestServer::start().await;
    let at = server.address();
    let upload = begin(&at, "/v1/tables/t").await;
    assert_eq!(part(&at, &upload, 4, false, b"2\n").await.status, 204);
    // A connection that breaks in the midst of a part.
    let mut tcp = TcpStream::connect(&at).await.expect("a connection");
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nhost: x\r\nupload-offset: 6\r\nupload-complete: ?1\r\ncontent-length: 100\r\n\r\n"
    );
    tcp.write_all(&[head.as_bytes(), b"3\n4\n"].concat()).await.expect("sent");
    // It is still open: whoever comes back does not wait for it to be noticed.
    let has = async || {
        let look = ask(&at, "HEAD", &upload, "", b"").await;
        (look.status, look.header("upload-offset").and_then(|offset| offset.parse::<u64>().ok()))
    };
    eventually_async("the bytes are there", async || has().await == (204, Some(10)) || has().await.1 == Some(6)).await;
    let offset = has().await.1.expect("an offset");
    let rest = &b"3\n4\n5\n"[(offset - 6) as usize..];
    let wrong = part(&at, &upload, 2, false, b"9\n").await;
    assert_eq!((wrong.status, wrong.json()["code"].clone()), (409, "upload_conflict".into()));
    assert_eq!(wrong.header("upload-offset"), Some(offset.to_string().as_str()));
    assert_eq!(ask(&at, "GET", "/v1/tables/t", "", b"").await.json()["code"], "table_not_found", "nobody sees a part");
    let done = part(&at, &upload, offset, true, rest).await;
    assert_eq!((done.status, done.json()["rows"].clone()), (201, 5.into()), "{}", done.text());
    let csv = ask(&at, "GET", "/v1/tables/t?format=csv", "", b"").await;
    assert_eq!(csv.text(), "a\n1\n2\n3\n4\n5\n");
    assert_eq!(ask(&at, "HEAD", &upload, "", b"").await.status, 404, "it is complete");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_given_up_and_leaves_nothing() {
    let server = TestServer::start().await;
    let at = server.address();
    let upload = begin(&at, "/v1/tables/t").await;
    assert_eq!(ask(&at, "DELETE", &upload, "", b"").await.status, 204);
    assert_eq!(part(&at, &upload, 4, true, b"").await.json()["code"], "upload_not_found");
    let upload = begin(&at, "/v1/tables/t").await;
    assert_eq!(part(&at, &upload, 4, true, b"x,y\n").await.json()["code"], "file_invalid");
    assert!(server.tables().is_empty());
    let upload = begin(&at, "/v1/tables/t").await;
    for headers in ["", "upload-offset: x\r\n", "upload-offset: 4\r\nupload-complete: yes\r\n"] {
        assert_eq!(ask(&at, "PATCH", &upload, headers, b"2\n").await.json()["code"], "option_invalid", "{headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn g9_an_upload_that_nobody_goes_on_with_ends_by_itself() {
    let patience =
        airlane::server::Patience { between_messages: std::time::Duration::from_millis(50), ..Default::default() };
    let server = TestServer::start_with(|_, options| options.patience = patience).await;
    let at = server.address();
    let upload = begin(&at, "/v1/tables/t").await;
    eventually_async("it is given up", async || {
        // Looking would keep it.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        ask(&at, "HEAD", &upload, "", b"").await.status == 404
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_an_upload_of_somebody_else_looks_like_none() {
    let server = guarded(&["one", "other"], "[rights.one]\neu = [\"write\"]\n[rights.other]\neu = [\"write\"]\n").await;
    let at = server.address();
    let as_of = |who: &str| format!("authorization: Bearer {}\r\n", token_of(who));
    let headers = format!("{}upload-complete: ?0\r\ncontent-type: text/csv\r\n", as_of("one"));
    let begun = ask(&at, "PUT", "/v1/tables/eu/t", &headers, b"a\n1\n").await;
    let upload = begun.header("location").expect("a location").to_owned();
    assert_eq!(ask(&at, "HEAD", &upload, &as_of("other"), b"").await.status, 404);
    assert_eq!(ask(&at, "HEAD", &upload, &as_of("one"), b"").await.status, 204);
}
