//! Queries: what they answer, what they pin, what they may not do, and how they end.

use std::sync::Arc;
use std::time::Duration;

use airlane_exchange::{Exchange, PutSpec, QueryLimits, ReadOptions, Window};
use airlane_model::caller::Grant;
use airlane_model::{ByteSize, Caller, PutMode, QueryTicket, Result, RetentionChange, Right, TableName, Ticket, codes};
use airlane_segment::TableSchema;
use airlane_store::{Store, StoreOptions};
use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

use crate::support::{batch, decode, exchange, messages, put, rows};

fn query(text: &str) -> QueryTicket {
    QueryTicket::new(text)
}

async fn answer_for(exchange: &Exchange, caller: &Caller, query: &QueryTicket) -> Result<Vec<String>> {
    let mut stream = exchange.compute(caller, query).await?;
    let mut all = Vec::new();
    loop {
        stream.ready().await;
        match stream.next_batch()? {
            Some(batch) => all.push(batch),
            None => return Ok(rows(&all)),
        }
    }
}

async fn answer(exchange: &Exchange, text: &str) -> Result<Vec<String>> {
    answer_for(exchange, &Caller::local(), &query(text)).await
}

async fn code(exchange: &Exchange, text: &str) -> airlane_model::Code {
    answer(exchange, text).await.expect_err(text).code()
}

fn prices(names: &[&str], values: &[f64]) -> RecordBatch {
    let schema =
        Schema::new(vec![Field::new("name", DataType::Utf8, false), Field::new("value", DataType::Float64, true)]);
    let (names, values) = (StringArray::from(names.to_vec()), Float64Array::from(values.to_vec()));
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(names), Arc::new(values)]).expect("a batch")
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_read_tables_of_any_namespace_in_any_version() {
    let exchange = exchange();
    put(&exchange, "prices", PutMode::Replace, &[prices(&["a", "b"], &[1.0, 2.0])]).await;
    put(&exchange, "prices", PutMode::Append, &[prices(&["c"], &[3.0])]).await;
    put(&exchange, "eu/fx/spot", PutMode::Replace, &[prices(&["a", "c"], &[10.0, 30.0])]).await;
    for (text, expected) in [
        ("SELECT count(*), sum(value) FROM prices", &["3|6.0"][..]),
        ("SELECT count(*), sum(value) FROM prices@1", &["2|3.0"]),
        ("SELECT sum(p.value) FROM prices VERSION AS OF 1 p", &["3.0"]),
        ("SELECT name FROM prices WHERE value > 1.5 ORDER BY name DESC LIMIT 1", &["c"]),
        (
            "SELECT p.name, s.value FROM prices p JOIN eu.\"fx/spot\" s ON p.name = s.name ORDER BY 1",
            &["a|10.0", "c|30.0"],
        ),
        ("SELECT value FROM \"eu/fx/spot\" ORDER BY value", &["10.0", "30.0"]),
        ("SELECT value FROM airlane.eu.\"fx/spot@1\" ORDER BY value", &["10.0", "30.0"]),
        ("SELECT * FROM prices ORDER BY name", &["a|1.0", "b|2.0", "c|3.0"]),
        ("SELECT * FROM prices", &["a|1.0", "b|2.0", "c|3.0"]),
        ("WITH t AS (SELECT * FROM prices) SELECT count(*) FROM t", &["3"]),
        (
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' ORDER BY 1",
            &["default|prices", "eu|fx/spot"],
        ),
        ("SELECT sum(value) FROM prices WHERE name = 'nobody'", &[""]),
        ("SELECT name FROM prices WHERE false", &[]),
        ("SELECT sum(value) FROM generate_series(1, 4)", &["10"]),
    ] {
        assert_eq!(answer(&exchange, text).await.expect(text), expected, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_query_are_an_arrow_stream_in_any_form_that_is_asked_for() {
    let exchange = exchange();
    put(&exchange, "t", PutMode::Replace, &[batch(0..2000, &["x", "y", "z"])]).await;
    put(&exchange, "t", PutMode::Append, &[batch(2000..2100, &["u", "x"])]).await;
    let text = "SELECT key, name, arrow_cast(name, 'Utf8View') AS view FROM t WHERE key % 3 = 0 ORDER BY key";
    let expected = answer(&exchange, text).await.expect("rows");
    assert_eq!(expected.len(), 700);
    for (codec, is_plain) in [(None, false), (Some(airlane_segment::Codec::Zstd), false), (None, true)] {
        let stream = exchange.compute(&Caller::local(), &query(text)).await.expect("a read").compressed(codec);
        let mut stream = if is_plain { stream.in_plain_types().expect("plain types") } else { stream };
        let schema = stream.schema().clone();
        // A dictionary of the table is values here, in the schema too.
        assert_eq!(schema.arrow().field(1).data_type(), &DataType::Utf8);
        let view = if is_plain { DataType::Utf8 } else { DataType::Utf8View };
        assert_eq!(schema.arrow().field(2).data_type(), &view);
        assert_eq!(rows(&decode(&schema, &messages(&mut stream).0)), expected);
    }
    // A whole table is sent as it lies, dictionaries and all.
    let mut whole = exchange.compute(&Caller::local(), &query("SELECT * FROM t")).await.expect("a read");
    assert_eq!(whole.info().expect("a table").rows, 2100);
    let schema = whole.schema().clone();
    assert!(matches!(schema.arrow().field(1).data_type(), DataType::Dictionary(..)));
    let sent = rows(&decode(&schema, &messages(&mut whole).0));
    let listed = answer(&exchange, "SELECT key, name FROM t WHERE true ORDER BY key").await.expect("rows");
    assert_eq!(sent, listed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_query_is_computed_of_the_versions_that_it_was_planned_with() {
    let exchange = exchange();
    let local = Caller::local();
    put(&exchange, "prices", PutMode::Replace, &[prices(&["a"], &[1.0])]).await;
    for text in ["SELECT name, value FROM prices WHERE value > 0", "SELECT * FROM prices"] {
        let plan = exchange.plan_query(&local, &query(text)).await.expect("a plan");
        assert_eq!(plan.table.is_some(), text.contains('*'));
        put(&exchange, "prices", PutMode::Append, &[prices(&["b"], &[2.0])]).await;
        let ticket: Ticket = plan.ticket.to_string().parse().expect("a ticket");
        let (window, options) = (Window::default(), ReadOptions::default());
        let mut stream = exchange.open_read(&local, &ticket, &window, options).await.expect("a read");
        assert_eq!(stream.schema().arrow(), plan.schema.arrow());
        let sent = decode(&plan.schema, &messages(&mut stream).0);
        let now = rows(&sent).len();
        assert_eq!(now + 1, answer(&exchange, text).await.expect("rows").len(), "{text}");
    }
    // A table of the same name is another one.
    let plan = exchange.plan_query(&local, &query("SELECT count(*) FROM prices")).await.expect("a plan");
    exchange.drop_table(&local, &"prices".parse().expect("a name")).await.expect("dropped");
    put(&exchange, "prices", PutMode::Replace, &[prices(&["z"], &[9.0])]).await;
    let error = answer_for(&exchange, &local, &plan.ticket).await.expect_err("gone");
    assert_eq!(error.code(), codes::TABLE_RECREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_have_types_and_values() {
    let exchange = exchange();
    let local = Caller::local();
    put(&exchange, "prices", PutMode::Replace, &[prices(&["a", "b"], &[1.0, 2.0])]).await;
    let text = "SELECT name FROM prices WHERE value > ? AND name <> ?";
    let plan = exchange.plan_query(&local, &query(text)).await.expect("a plan");
    let types: Vec<_> = plan.parameters.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Float64, DataType::Utf8]);
    let columns: [(&str, arrow_array::ArrayRef); 2] =
        [("a", Arc::new(Int64Array::from(vec![0]))), ("b", Arc::new(StringArray::from(vec!["a"])))];
    let values = airlane_exchange::values::write(&RecordBatch::try_from_iter(columns.clone()).expect("a row"));
    let bound = QueryTicket { values: Some(values.expect("text")), ..query(text) };
    assert_eq!(answer_for(&exchange, &local, &bound).await.expect("rows"), ["b"]);
    assert_eq!(code(&exchange, text).await, codes::SQL_INVALID, "no values");
    let one = RecordBatch::try_from_iter(columns.into_iter().take(1)).expect("a row");
    let one = airlane_exchange::values::write(&one).expect("text");
    let error = answer_for(&exchange, &local, &QueryTicket { values: Some(one), ..query(text) }).await;
    assert_eq!(error.expect_err("too few").code(), codes::SQL_INVALID);
}

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_query_reads_what_its_caller_may_read_and_nothing_else() {
    let exchange = exchange();
    put(&exchange, "eu/prices", PutMode::Replace, &[prices(&["a"], &[1.0])]).await;
    put(&exchange, "us/prices", PutMode::Replace, &[prices(&["a"], &[1.0])]).await;
    let grant = Grant { namespaces: "eu".parse().expect("a pattern"), rights: vec![Right::Read] };
    let reader = Caller::new("ci", vec![grant]);
    let asked = |text: &'static str| answer_for(&exchange, &reader, Box::leak(Box::new(query(text))));
    assert_eq!(asked("SELECT count(*) FROM eu.prices").await.expect("rows"), ["1"]);
    let hidden = asked("SELECT count(*) FROM us.prices").await.expect_err("not to be seen");
    assert_eq!(hidden.code(), codes::TABLE_NOT_FOUND);
    let listed = asked("SELECT table_schema FROM information_schema.tables WHERE table_type = 'BASE TABLE'").await;
    assert_eq!(listed.expect("rows"), ["eu"]);
    for text in
        ["CREATE TABLE eu.copy AS SELECT 1 AS x", "INSERT INTO eu.prices VALUES ('b', 2)", "DROP TABLE eu.prices"]
    {
        let error = exchange.execute(&reader, &query(text)).await.expect_err(text);
        assert_eq!(error.code(), codes::PERMISSION_DENIED, "{text}");
    }
    let error = exchange.execute(&Caller::local(), &query("CREATE TABLE eu.copy AS SELECT * FROM us.nothing")).await;
    assert_eq!(error.expect_err("nothing to read").code(), codes::TABLE_NOT_FOUND);
    assert!(asked("SELECT * FROM eu.copy").await.is_err(), "nothing was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_change_tables_are_puts_and_drops() {
    let exchange = exchange();
    let execute = async |text: &str| exchange.execute(&Caller::local(), &query(text)).await;
    put(&exchange, "prices", PutMode::Replace, &[prices(&["a", "b"], &[1.0, 2.0])]).await;
    let changed = execute("CREATE TABLE eu.high AS SELECT * FROM prices WHERE value > 1").await.expect("created");
    assert_eq!((changed.rows, changed.receipt.expect("a receipt").table.as_str()), (1, "eu/high"));
    assert_eq!(execute("CREATE TABLE eu.high AS SELECT 1 AS x").await.expect_err("there").code(), codes::TABLE_EXISTS);
    assert_eq!(execute("CREATE TABLE IF NOT EXISTS eu.high AS SELECT 1 AS x").await.expect("left").rows, 0);
    assert_eq!(execute("INSERT INTO eu.high VALUES ('c', 3), ('d', NULL)").await.expect("inserted").rows, 2);
    assert_eq!(execute("INSERT INTO eu.high (value, name) SELECT 4, 'e'").await.expect("inserted").rows, 1);
    assert_eq!(execute("INSERT INTO eu.high (name) VALUES ('f')").await.expect("inserted").rows, 1);
    assert_eq!(
        answer(&exchange, "SELECT * FROM eu.high").await.expect("rows"),
        ["b|2.0", "c|3.0", "d|", "e|4.0", "f|"]
    );
    for (text, code) in [
        ("INSERT INTO eu.high (value) VALUES (1)", codes::QUERY_FAILED),
        ("INSERT INTO eu.high (name, nothing) VALUES ('x', 1)", codes::SQL_INVALID),
        ("INSERT INTO eu.high (name, name) VALUES ('x', 'y')", codes::SQL_INVALID),
        ("INSERT INTO eu.high VALUES ('x')", codes::SQL_INVALID),
        ("INSERT INTO eu.high VALUES ('x', 'no number')", codes::QUERY_FAILED),
        ("INSERT INTO eu.low VALUES (1)", codes::TABLE_NOT_FOUND),
        ("SELECT 1", codes::STATEMENT_REFUSED),
        ("DROP TABLE eu.low", codes::TABLE_NOT_FOUND),
    ] {
        let error = execute(text).await.expect_err(text);
        assert_eq!(error.code(), code, "{text}: {error}");
    }
    assert_eq!(code(&exchange, "DROP TABLE eu.high").await, codes::STATEMENT_REFUSED, "no read");
    assert_eq!(answer(&exchange, "SELECT count(*) FROM eu.high").await.expect("rows"), ["5"]);
    assert_eq!(execute("CREATE OR REPLACE TABLE eu.high AS SELECT 1 AS x").await.expect("replaced").rows, 1);
    assert_eq!(execute("DROP TABLE IF EXISTS eu.low, eu.high").await.expect("dropped").dropped.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_told_with_place_and_hint() {
    let exchange = exchange();
    put(&exchange, "prices", PutMode::Replace, &[prices(&["a", "x"], &[1.0, 0.0])]).await;
    put(&exchange, "Mixed", PutMode::Replace, &[batch(0..5, &["x"])]).await;
    for (text, code, place, hint) in [
        ("SELECT valu FROM prices", codes::SQL_INVALID, Some("line 1, column 8"), Some("value")),
        ("SELECT\n  nope(value) FROM prices", codes::SQL_INVALID, None, None),
        ("SELECT * FROM price", codes::TABLE_NOT_FOUND, None, Some("prices")),
        ("SELECT * FROM mixed", codes::TABLE_NOT_FOUND, None, Some("\"Mixed\"")),
        ("SELECT * FROM prices@9", codes::VERSION_NOT_FOUND, None, None),
        ("SELECT CAST(name AS BIGINT) FROM prices", codes::QUERY_FAILED, None, Some("TRY_CAST")),
        ("SELECT 1 / CAST(value AS BIGINT) FROM prices", codes::QUERY_FAILED, None, Some("NULLIF")),
        ("SELECT name + INTERVAL '1 day' FROM prices", codes::SQL_INVALID, None, None),
        ("SELECT name FROM prices GROUP BY value", codes::SQL_INVALID, None, None),
        ("SELECT $1x", codes::SQL_INVALID, None, None),
    ] {
        let error = answer(&exchange, text).await.expect_err(text);
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(place.is_none() || error.place() == place, "{text}: {error}");
        assert!(hint.is_none_or(|hint| error.to_string().contains(hint)), "{text}: {error}");
        assert!(!error.message().contains('\n'), "{error}");
    }
}

/// An exchange whose queries have little.
fn scarce(folder: Option<std::path::PathBuf>, limits: QueryLimits) -> Exchange {
    let store = Store::open(StoreOptions::new(folder)).expect("a store").0;
    Exchange::with_queries(store, limits).expect("an exchange")
}

#[tokio::test(flavor = "multi_thread")]
async fn l6_rows_that_point_into_a_segment_are_counted_for_themselves_and_not_for_it() {
    let store = Store::open(StoreOptions::new(None)).expect("a store").0;
    let exchange = Exchange::with_queries(store.clone(), QueryLimits::default()).expect("an exchange");
    numbers(&exchange, "numbers", 200_000).await;
    let mut stream = exchange.compute(&Caller::local(), &query("SELECT text, n FROM numbers")).await.expect("a read");
    while stream.next_message().expect("a message").is_some() {
        let used = store.memory_budget().used_for(airlane_segment::MemoryUse::Reads);
        assert!(used <= ByteSize::mib(5), "{used}");
    }
}

async fn numbers(exchange: &Exchange, table: &str, count: i64) {
    let schema = Schema::new(vec![Field::new("n", DataType::Int64, false), Field::new("text", DataType::Utf8, false)]);
    let spec = PutSpec {
        mode: PutMode::Replace,
        retention: RetentionChange::default(),
        ..PutSpec::new(TableName::parse(table).expect("a name"))
    };
    let schema = Arc::new(schema);
    let table = TableSchema::from_arrow(&schema).expect("a schema");
    let mut put = exchange.put_batches(&Caller::local(), spec, table).expect("a put");
    for start in (0..count).step_by(8192) {
        let n = Int64Array::from_iter_values((start..(start + 8192).min(count)).map(|n| (n * 7919) % count));
        let text = StringArray::from_iter_values(n.values().iter().map(|n| format!("a text of some length {n}")));
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(n), Arc::new(text)]).expect("a batch");
        put.append(&batch).expect("rows");
    }
    put.commit().await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn q3_a_query_goes_to_disk_or_ends_and_the_server_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let limits = QueryLimits { memory: ByteSize::mib(12), threads: 2, ..QueryLimits::default() };
    let exchange = scarce(Some(folder.path().to_owned()), limits);
    numbers(&exchange, "numbers", 400_000).await;
    let sorted = "SELECT n, text FROM (SELECT n, text FROM numbers ORDER BY text, n) LIMIT 300000 OFFSET 299999";
    assert_eq!(answer(&exchange, sorted).await.expect("sorted on disk").len(), 100_001);
    let product = "SELECT count(DISTINCT a.text || b.text) FROM numbers a, numbers b";
    let error = answer(&exchange, product).await.expect_err("more than there is");
    assert_eq!(error.code(), codes::QUERY_MEMORY_FULL, "{error}");
    assert_eq!(answer(&exchange, "SELECT count(*) FROM numbers").await.expect("well"), ["400000"]);
    let left: Vec<_> = walk(&folder.path().join("queries"));
    assert!(left.is_empty(), "{left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn q4_a_query_that_lasts_ends_at_its_time_and_frees_its_place() {
    let limits = QueryLimits { time: Duration::from_millis(300), at_once: 1, threads: 2, ..QueryLimits::default() };
    let exchange = scarce(None, limits);
    numbers(&exchange, "numbers", 2_000).await;
    for text in [
        "SELECT count(*) FROM numbers a, numbers b, numbers c, numbers d WHERE a.n + b.n + c.n + d.n = -1",
        "SELECT sum(value) FROM generate_series(1, 9000000000000)",
        "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r",
    ] {
        assert_eq!(code(&exchange, text).await, codes::QUERY_TIME_EXCEEDED, "{text}");
        assert_eq!(answer(&exchange, "SELECT 1").await.expect("its place is free"), ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_whose_reader_goes_away_ends() {
    let exchange = scarce(None, QueryLimits { at_once: 1, threads: 2, ..QueryLimits::default() });
    numbers(&exchange, "numbers", 100_000).await;
    let endless = query("SELECT a.n FROM numbers a, numbers b, numbers c");
    for _ in 0..20 {
        let mut stream = exchange.compute(&Caller::local(), &endless).await.expect("a read");
        stream.ready().await;
        assert!(stream.next_batch().expect("a batch").is_some());
    }
    // The one place there is was given back each time.
    assert_eq!(answer(&exchange, "SELECT 1").await.expect("well"), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn q2_statements_that_broke_planners_are_refused_or_answered() {
    let exchange = scarce(None, QueryLimits { time: Duration::from_secs(5), threads: 2, ..QueryLimits::default() });
    numbers(&exchange, "numbers", 10).await;
    assert_eq!(answer(&exchange, "SELECT repeat('ab', 2), lpad('7', 3, '0')").await.expect("little"), ["abab|007"]);
    let chain: Vec<String> = (1..64).map(|n| format!("c{n} AS (SELECT a.x FROM c{} a, c{} b)", n - 1, n - 1)).collect();
    let bombs = [
        format!("WITH c0 AS (SELECT 1 AS x), {} SELECT * FROM c63", chain.join(", ")),
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT 1{}", "+1".repeat(20_000)),
        format!("SELECT 1{}", "+1".repeat(1_900)),
        format!("SELECT 1=1{}", " OR 1=2".repeat(900)),
        format!("SELECT {}1{}", "abs(".repeat(90), ")".repeat(90)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(900), " END".repeat(900)),
        format!("SELECT * FROM {}(SELECT 1) t{}", "(SELECT * FROM ".repeat(90), ") t".repeat(90)),
        format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(900)),
        "SELECT repeat('x', 2000000000)".to_owned(),
        "SELECT lpad('x', 2000000000), rpad('x', -(-2000000000))".to_owned(),
        "SELECT repeat('x', n) FROM numbers".to_owned(),
        "SELECT array_repeat(1, 2000000000), range(1, 9000000000)".to_owned(),
    ];
    for bomb in &bombs {
        // Whatever it is, it is an answer.
        let answered = answer(&exchange, bomb).await;
        if let Err(error) = answered {
            let expected = [
                codes::STATEMENT_TOO_LARGE,
                codes::SQL_INVALID,
                codes::STATEMENT_REFUSED,
                // The name of a column is its expression.
                codes::SCHEMA_INVALID,
                codes::QUERY_FAILED,
                codes::QUERY_TIME_EXCEEDED,
                codes::QUERY_MEMORY_FULL,
            ];
            assert!(expected.contains(&error.code()), "{bomb:.40}: {error}");
        }
        assert_eq!(answer(&exchange, "SELECT 1").await.expect("well"), ["1"]);
    }
}
