use std::io::Cursor;

use super::*;

/// Reads through chunks of every small size, whose results must be the same.
fn rows(text: &str, form: Form) -> std::result::Result<String, String> {
    let read = |chunk: usize| {
        let mut rows = Rows::new(Pieces(Cursor::new(text.as_bytes().to_vec()), chunk), form, "input");
        let mut all = String::new();
        match rows.read_to_string(&mut all) {
            Ok(_) => Ok(all),
            Err(error) => Err(failed(error, "nowhere").to_string()),
        }
    };
    let whole = read(1 << 20);
    for chunk in 1..8 {
        assert_eq!(read(chunk), whole, "{text} in pieces of {chunk}");
    }
    whole
}

/// Gives few bytes at a time.
struct Pieces(Cursor<Vec<u8>>, usize);

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = into.len().min(self.1);
        self.0.read(&mut into[..count])
    }
}

#[test]
fn elements_become_lines() {
    for (text, expected) in [
        ("[]", ""),
        (" [ \n ] \n", ""),
        (r#"[{"a":1},{"a":2}]"#, "{\"a\":1}\n{\"a\":2}\n"),
        ("\u{feff}[\n{\n\"a\": 1\n},\r\n{}]", "{ \"a\": 1 }\n{}\n"),
        (r#"[{"a":"]}, {\"[\\","b":[{"c":[]}]}]"#, "{\"a\":\"]}, {\\\"[\\\\\",\"b\":[{\"c\":[]}]}\n"),
    ] {
        assert_eq!(rows(text, Form::Array).as_deref(), Ok(expected), "{text}");
    }
    let lines = "{\"a\":\"[[[\"}\n\n{\"a\":2}";
    assert_eq!(rows(lines, Form::Lines).as_deref(), Ok(lines));
}

#[test]
fn what_is_no_array_of_objects_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "there is no JSON array\nat: input"),
        ("{\"a\":1}", "the content is no JSON array\nat: input"),
        ("[{\"a\":1}", "the array has no end\nat: input, after element 1"),
        ("[{\"a\":1},{\"a\":", "the array has no end\nat: input, after element 2"),
        ("[{\"a\":1},]", "this is no object\nat: input, element 2"),
        ("[1]", "this is no object\nat: input, element 1"),
        ("[{} {}]", "neither a comma nor the end of the array follows\nat: input, element 1"),
        ("[{}]]", "something follows the array\nat: input"),
        ("[{\"a\":\"x\ny\"}]", "a text has a line end in it\nat: input, element 1"),
    ] {
        let error = rows(text, Form::Array).expect_err(text);
        assert!(error.starts_with(expected), "{text}: {error}");
    }
}

#[test]
fn a9_values_are_nested_within_bounds() {
    for form in [Form::Lines, Form::Array] {
        let row = |depth: usize| {
            let row = format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            if form == Form::Array { format!("[{{}},{row}]") } else { format!("{{}}\n{row}\n") }
        };
        assert!(rows(&row(64), form).is_ok(), "{form:?}");
        for depth in [65, 1_000] {
            let error = rows(&row(depth), form).expect_err("too deep");
            let place = format!("at: input, {} 2", form.word());
            assert!(error.starts_with("values are nested deeper than 64 levels") && error.contains(&place), "{error}");
        }
    }
    // Spread over lines the parser would nest them all the same.
    let error = rows(&"{\"a\":\n".repeat(65), Form::Lines).expect_err("too deep");
    assert!(error.contains("line 65"), "{error}");
}

#[test]
fn a17_a_row_has_an_end() {
    for (form, begin) in [(Form::Lines, "{\"a\":\""), (Form::Array, "[{\"a\":\"")] {
        let endless = Cursor::new(begin.as_bytes().to_vec()).chain(io::repeat(b'x'));
        let mut rows = Rows::new(endless, form, "input");
        let error = io::copy(&mut rows, &mut io::sink()).expect_err("too long");
        assert!(failed(error, "nowhere").to_string().starts_with("a row has more than 64 MiB"));
    }
}
